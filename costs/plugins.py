"""What costs plugs into ports of the apps below."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from telemetry.parsing import Event

from . import services


class Ledger:
    """settings.LEDGER: see telemetry.facts.Ledger."""

    def book(
        self, *, tenant_id: UUID, events: Sequence[Event], codes: Mapping[str | None, bytes]
    ) -> services.Booking:
        return services.book(tenant_id=tenant_id, events=events, codes=codes)
