"""What telemetry asks of apps that it may not import (settings.LEDGER)."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Protocol
from uuid import UUID

from psycopg import Cursor

from .parsing import Event
from .parsing.blocks import Block


class Booking(Protocol):
    """The ledger entries of one batch, ready to be written."""

    rows: Mapping[date, bytes]
    """Whole binary COPY streams by day."""

    table: str
    columns: Sequence[str]

    def sum_up(self, cursor: Cursor[Any]) -> None:
        """Add the batch to the sums, as the last statement of its transaction."""
        ...

    def settle(self) -> None:
        """After the commit: do what the new sums demand (a cap was passed). May be repeated; refuses nothing."""
        ...


class Ledger(Protocol):
    """Effect port: prices linked events and writes entries in the transaction of the events."""

    def book(
        self,
        *,
        tenant_id: UUID,
        events: Sequence[Event],
        blocks: Sequence[Block] = (),
        codes: Mapping[str | None, bytes],
    ) -> Booking:
        """Price the events that cost something. A text that is not in `codes` yet is a KeyError naming it."""
        ...
