"""The ledger entries of a batch of events: priced, packed for COPY, and summed by day and tags."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from operator import add
from struct import Struct
from typing import Any, Final
from uuid import UUID

from psycopg import Cursor

from arm import db
from telemetry.parsing import Event, EventType
from telemetry.parsing.events import Belonging, Meaning, Place, Work
from telemetry.parsing.packing import EPOCH_US, HEADER, NULL, TRAILER, Codes, counts, int8, work_fields

from ..models import CostModel
from ..pricing import Basis, Charge, Price, PriceBook, RateLine, Usage, rates
from .caps import Passed, pass_cap

COLUMNS: Final = (
    "entry_id",
    "occurred_at",
    # the same for all entries of one line
    "tenant_id",
    "provider_id",
    "environment_id",
    "template_id",
    "version_id",
    "instance_id",
    "role_id",
    "basis",
    "currency_code",
    "price_ref_code",
    "model_provider_code",
    "model_code",
    # the entry's own
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "amount_picos",
    "reported_picos",
    # see packing.work_fields
    "cost_center_code",
    "outcome_code",
    "job",
)
PRICES_SECONDS: Final = 2.0
_DAY_US: Final = 86_400_000_000
_head = Struct(">hi16siq").pack
_basis = Struct(">ih").pack
_MODEL_CALL = EventType.MODEL_CALL.value
Totals = list[int]
"""Calls, input tokens, cached tokens, output tokens, picos."""
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


class _Line:
    """Entries of one belonging that are charged alike: the columns they share, and their sums."""

    __slots__ = ("belonging", "charge", "fields", "sums")

    def __init__(self, belonging: Belonging, charge: Charge, codes: Codes) -> None:
        place, meaning = belonging.place, belonging.meaning
        self.belonging = belonging
        self.charge = charge
        self.fields = b"".join(
            (
                place.columns,
                place.role,
                _basis(2, charge.basis),
                codes[charge.currency],
                codes[charge.price_ref or None],
                codes[meaning.provider],
                codes[meaning.model_used or meaning.model_requested],
            )
        )
        self.sums: dict[tuple[int, Work], Totals] = {}

    def tags(self, day: int, work: Work) -> Tags:
        place, meaning = self.belonging.place, self.belonging.meaning
        model, charge = meaning.model_used or meaning.model_requested, self.charge
        said = work.cost_center, work.outcome, meaning.provider, model
        return day, place, *said, charge.currency, charge.basis, work.attributed


class Booking:
    """See telemetry.facts.Booking."""

    table = "costs_ledgerentry"
    columns = COLUMNS

    def __init__(self, tenant_id: UUID, codes: Codes) -> None:
        self.rows: dict[date, bytes] = {}
        self._tenant_id = tenant_id
        self._codes = codes
        self._sums: dict[Tags, Totals] = {}
        self._passed: list[Passed] = []

    def add(self, events: Sequence[Event]) -> None:
        """Price and pack the events that cost something. KeyError with every text that has no number yet."""
        codes, charge_of = self._codes, price_book(self._tenant_id).charge
        days: dict[int, list[bytes]] = {}
        lines: dict[tuple[Belonging, str, Basis, str], _Line] = {}
        works: dict[Work, bytes] = {}
        width = len(COLUMNS)
        unknown: set[str] = set()
        for event in events:
            tokens, reported, belonging = event.tokens, event.cost_picos, event.belonging
            assert belonging is not None
            meaning = belonging.meaning
            if reported is None and tokens[0] is None and meaning.type != _MODEL_CALL:
                continue
            given, read, write, output, _ = tokens
            charge = charge_of(
                provider=meaning.provider,
                model=meaning.model_used or meaning.model_requested,
                at_us=event.occurred_us,
                usage=Usage(given, read, write, output),
                reported=None
                if reported is None
                else Charge(reported, _currency(meaning), Basis.REPORTED, ""),
            )
            amount, currency, basis, price_ref = charge
            line = lines.get((belonging, currency, basis, price_ref))
            if line is None:
                if currency not in codes or (price_ref and price_ref not in codes):
                    unknown.update((currency, price_ref) if price_ref else (currency,))
                    continue
                line = lines[belonging, currency, basis, price_ref] = _Line(belonging, charge, codes)
            day, work = event.occurred_us // _DAY_US, event.work
            part = days.get(day)
            if part is None:
                part = days[day] = [HEADER]
            if work not in works:
                works[work] = work_fields(work, codes)
            part += (
                _head(width, 16, event.event_id, 8, event.occurred_us - EPOCH_US),
                line.fields,
                counts[given],
                counts[read],
                counts[write],
                counts[output],
                int8(amount),
                NULL if reported is None else int8(reported),
                works[work],
            )
            total = line.sums.get((day, work))
            if total is None:
                total = line.sums[day, work] = [0, 0, 0, 0, 0]
            total[0] += 1
            total[1] += given or 0
            total[2] += (read or 0) + (write or 0)
            total[3] += output or 0
            total[4] += amount
        if unknown:
            raise KeyError(*unknown)
        self.rows = {_date(day): b"".join((*parts, TRAILER)) for day, parts in days.items()}
        self._add_up(lines.values())

    def _add_up(self, lines: Iterable[_Line]) -> None:
        """The sums by tags: several lines, and several jobs, may have the same."""
        for line in lines:
            for (day, work), more in line.sums.items():
                total = self._sums.setdefault(line.tags(day, work), [0, 0, 0, 0, 0])
                total[:] = map(add, total, more)

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


def book(*, tenant_id: UUID, events: Sequence[Event], codes: Codes) -> Booking:
    """See telemetry.facts.Ledger."""
    booking = Booking(tenant_id, codes)
    booking.add(events)
    return booking


def _currency(meaning: Meaning) -> str:
    return (meaning.currency or "USD").upper()[:3]


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * 86_400, UTC).date()


def forget() -> None:
    """Drop what is remembered (tests)."""
    _books.clear()
