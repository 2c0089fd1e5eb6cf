"""The ledger entries of a batch of events: priced, packed for COPY, and summed by day and tags."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from struct import Struct
from typing import Any, Final
from uuid import UUID

from psycopg import Cursor

from arm import db
from telemetry.parsing import Event, EventType
from telemetry.parsing.events import Place
from telemetry.parsing.packing import EMPTY, EPOCH_US, HEADER, NULL, TRAILER, counts, int8, text

from ..models import CostModel
from ..pricing import Basis, Charge, Price, PriceBook, RateLine, Usage, rates
from .caps import Passed, pass_cap

COLUMNS: Final = (
    "entry_id",
    "occurred_at",
    "tenant_id",
    "provider_id",
    "environment_id",
    "template_id",
    "version_id",
    "instance_id",
    "role_id",
    "basis",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "amount_picos",
    "reported_picos",
    "currency_code",
    "price_ref_code",
    "model_provider_code",
    "model_code",
    "cost_center_code",
    "outcome_code",
    "job",
)
PRICES_SECONDS: Final = 2.0
_DAY_US: Final = 86_400_000_000
_head = Struct(">hi16siq").pack
_basis = {basis: Struct(">ih").pack(2, basis) for basis in Basis}
_MODEL_CALL = EventType.MODEL_CALL.value
Tags = tuple[int, Place, str | None, str | None, str | None, str | None, str, Basis, bool]
"""Day, place, cost centre, outcome, model provider, model, currency, basis, attributed."""

_books: dict[UUID, tuple[float, PriceBook]] = {}


def price_book(tenant_id: UUID) -> PriceBook:
    """The tenant's prices as this process last read them, at most PRICES_SECONDS old."""
    now = time.monotonic()
    until, book = _books.get(tenant_id, (0.0, None))
    if book is None or until < now:
        with db.tenants([tenant_id]):
            lines = [_line(row) for row in CostModel.objects.all()]
        # What was found on the list is worth keeping while the rate card stays as it is.
        if book is None or not book.has(lines):
            book = PriceBook(lines)
        _books[tenant_id] = now + PRICES_SECONDS, book
    return book


def _line(row: CostModel) -> RateLine:
    compiled = rates(
        input_mtok=row.input_mtok,
        output_mtok=row.output_mtok,
        cache_read_mtok=row.cache_read_mtok,
        cache_write_mtok=row.cache_write_mtok,
        per_call=row.per_call,
    )
    price = Price(compiled, row.currency, Basis.RATE_CARD, row.price_ref)
    return RateLine(row.provider, row.model, row.starts_at, row.ends_at, price)


class Booking:
    """See telemetry.facts.Booking."""

    table = "costs_ledgerentry"
    columns = COLUMNS

    def __init__(self, tenant_id: UUID, codes: Mapping[str | None, bytes]) -> None:
        self.rows: dict[date, bytes] = {}
        self._tenant_id = tenant_id
        self._codes = codes
        self._sums: dict[Tags, list[int]] = {}
        self._passed: list[Passed] = []

    def add(self, events: Sequence[Event]) -> None:
        """Price and pack the events that cost something. KeyError with every text that has no number yet."""
        codes, sums, book = self._codes, self._sums, price_book(self._tenant_id)
        days: dict[int, list[bytes]] = {}
        width = len(COLUMNS)
        unknown: set[str] = set()
        for event in events:
            reported = event.cost_picos
            if event.type != _MODEL_CALL and reported is None and event.input_tokens is None:
                continue
            place, model = event.place, event.model_used or event.model_requested
            assert place is not None
            read, write = event.cache_read_tokens, event.cache_write_tokens
            amount, currency, basis, price_ref = book.charge(
                provider=event.provider,
                model=model,
                at_us=event.occurred_us,
                usage=Usage(event.input_tokens, read, write, event.output_tokens),
                reported=None if reported is None else Charge(reported, _currency(event), Basis.REPORTED, ""),
            )
            job, outcome, center = event.job, event.outcome, event.cost_center
            day = event.occurred_us // _DAY_US
            if currency not in codes or (price_ref and price_ref not in codes):
                unknown.update((currency, price_ref) if price_ref else (currency,))
                continue
            part = days.get(day)
            if part is None:
                part = days[day] = [HEADER]
            part += (
                _head(width, 16, event.event_id, 8, event.occurred_us - EPOCH_US),
                place.columns,
                place.role,
                _basis[basis],
                counts[event.input_tokens],
                counts[read],
                counts[write],
                counts[event.output_tokens],
                int8(amount),
                NULL if reported is None else int8(reported),
                codes[currency],
                codes[price_ref] if price_ref else NULL,
                codes[event.provider],
                codes[model],
                codes[center],
                codes[outcome],
                EMPTY if job is None else text(job),
            )
            attributed = job is not None or outcome is not None
            tags = day, place, center, outcome, event.provider, model, currency, basis, attributed
            total = sums.get(tags)
            if total is None:
                total = sums[tags] = [0, 0, 0, 0, 0]
            total[0] += 1
            total[1] += event.input_tokens or 0
            total[2] += (read or 0) + (write or 0)
            total[3] += event.output_tokens or 0
            total[4] += amount
        if unknown:
            raise KeyError(*unknown)
        self.rows = {_date(day): b"".join((*parts, TRAILER)) for day, parts in days.items()}

    def sum_up(self, cursor: Cursor[Any]) -> None:
        """Add the batch to the daily sums; what comes back are the caps that are passed now."""
        if not self._sums:
            return
        tags, totals = list(self._sums), list(self._sums.values())
        places = [tag[1] for tag in tags]
        columns: list[list[Any]] = [
            [_date(tag[0]) for tag in tags],
            [place.environment_id for place in places],
            [place.template_id for place in places],
            [place.version_id for place in places],
            [place.instance_id for place in places],
            [place.role_id for place in places],
            *([self._number(tag[n]) for tag in tags] for n in (2, 3, 4, 5, 6)),
            [tag[6] for tag in tags],
            [int(tag[7]) for tag in tags],
            [tag[8] for tag in tags],
            *([total[n] for total in totals] for n in range(5)),
        ]
        cursor.execute(_BOOK, [self._tenant_id, *columns], prepare=True)
        self._passed = [Passed(self._tenant_id, *row) for row in cursor.fetchall()]

    def settle(self) -> None:
        """Act on every cap that this batch found passed; acting twice changes nothing."""
        for passed in self._passed:
            with db.tenants([self._tenant_id]):
                pass_cap(passed)

    def _number(self, name: Any) -> int | None:
        field = self._codes[name]
        return None if field == NULL else int.from_bytes(field[4:], "big")


_BOOK: Final = """
SELECT cap, day, spent FROM costs_book(%s, %s::date[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[],
  %s::integer[], %s::integer[], %s::integer[], %s::integer[], %s::integer[], %s::text[], %s::smallint[], %s::boolean[],
  %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[])
"""


def book(*, tenant_id: UUID, events: Sequence[Event], codes: Mapping[str | None, bytes]) -> Booking:
    """See telemetry.facts.Ledger."""
    booking = Booking(tenant_id, codes)
    booking.add(events)
    return booking


def _currency(event: Event) -> str:
    return (event.currency or "USD").upper()[:3]


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * 86_400, UTC).date()


def forget() -> None:
    """Drop what is remembered (tests)."""
    _books.clear()
