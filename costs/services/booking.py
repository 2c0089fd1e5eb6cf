"""The ledger entries of a batch of events: priced, packed for COPY, and summed by day and tags."""

import time
from collections.abc import Sequence
from datetime import date
from operator import add
from struct import Struct
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import Cursor

from arm import db
from telemetry.parsing import Event, EventType
from telemetry.parsing.blocks import Block, woven
from telemetry.parsing.events import Belonging, Place, Work
from telemetry.parsing.packing import (
    EPOCH_US,
    HEADER,
    NULL,
    TRAILER,
    Codes,
    by_day,
    counts,
    date_of,
    int8,
    work_fields,
)

from ..models import CostModel
from ..pricing import Basis, Charge, Price, PriceBook, RateLine, Usage, rates
from .caps import Passed, pass_cap
from .spending import Said, Spent, Totals, spending

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
_head = Struct(">6s16s4sq").pack
_ROW_OF_16: Final = len(COLUMNS).to_bytes(2, "big") + b"\x00\x00\x00\x10"
"""How a row begins: the number of its fields, and the length of its id."""
_8: Final = b"\x00\x00\x00\x08"
_basis = Struct(">ih").pack
_MODEL_CALL = EventType.MODEL_CALL.value
_NOT_STEADY: Final = None, None
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
    """Entries of one day and belonging that are charged alike: the columns they share, and their sums."""

    __slots__ = ("_belonging", "_charge", "fields", "sums")

    def __init__(self, belonging: Belonging, charge: Charge, codes: Codes) -> None:
        place, meaning = belonging.place, belonging.meaning
        self._belonging = belonging
        self._charge = charge
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
        self.sums: dict[Said, Totals] = {}

    def tags(self, day: int, said: Said) -> Tags:
        meaning, charge = self._belonging.meaning, self._charge
        center, outcome, attributed = said
        model = meaning.model_used or meaning.model_requested
        whose = self._belonging.place, center, outcome, meaning.provider, model
        return day, *whose, charge.currency, charge.basis, attributed


class _Page:
    """The entries of one day, as they are packed."""

    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        self.lines: dict[tuple[Belonging, str, Basis, str], _Line] = {}
        self.works: dict[Work, tuple[bytes, Said]] = {}
        self.parts = [HEADER]
        self.unknown: set[str] = set()
        """Texts that have no number yet."""

    def line(self, belonging: Belonging, charge: Charge) -> _Line | None:
        """The line of these entries. None while a text of it has no number."""
        _, currency, basis, price_ref = charge
        line = self.lines.get((belonging, currency, basis, price_ref))
        if line is None:
            if missing := {name for name in (currency, price_ref) if name and name not in self._codes}:
                self.unknown |= missing
                return None
            line = self.lines[belonging, currency, basis, price_ref] = _Line(belonging, charge, self._codes)
        return line

    def whose(self, work: Work) -> tuple[bytes, Said]:
        """The fields of the work, and what its sums are told apart by."""
        found = self.works.get(work)
        if found is None:
            said = work.cost_center, work.outcome, work.attributed
            found = self.works[work] = work_fields(work, self._codes), said
        return found

    def add(self, line: _Line, spent: Spent) -> None:
        """Pack calls that are charged by this line, and add them to its sums."""
        whose = [self.whose(work) for work in spent.works]
        self.parts += woven(spent.fields(_ROW_OF_16, line.fields), [fields for fields, _ in whose])
        for said, more in spent.sums([said for _, said in whose]).items():
            total = line.sums.setdefault(said, [0, 0, 0, 0, 0])
            total[:] = map(add, total, more)


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

    def add(self, events: Sequence[Event], blocks: Sequence[Block] = ()) -> None:
        """Price and pack the events that cost something. KeyError with every text that has no number yet."""
        unknown: set[str] = set()
        days = dict(by_day(events))
        for day in sorted({*days, *(block.day for block in blocks)}):
            unknown |= self._add_day(day, days.get(day, ()), [one for one in blocks if one.day == day])
        if unknown:
            raise KeyError(*unknown)

    def _add_day(self, day: int, events: Sequence[Event], blocks: Sequence[Block]) -> set[str]:
        """The same for the events of one day. Returns the texts that have no number yet."""
        prices, page = price_book(self._tenant_id), _Page(self._codes)
        parts, works = page.parts, page.works
        for block in blocks:
            if block.tokens[0] is None and block.meaning.type != _MODEL_CALL:
                continue
            for charge, spent in spending(block, prices):
                line = page.line(block.belongings[block.works[0]], charge)
                if line is not None:
                    page.add(line, spent)
        steady: dict[Belonging | None, tuple[Price, _Line]] = {}
        for event in events:
            given, read, write, output, _ = event.tokens
            reported, meaning = event.cost_picos, event.meaning
            if given is None and reported is None and meaning.type != _MODEL_CALL:
                continue
            belonging = event.belonging
            price, line = steady.get(belonging, _NOT_STEADY)
            amount = None if price is None else price.amount(given, read, write, output)
            if amount is None or line is None:
                assert belonging is not None
                charge = _charge(prices, event)
                amount, line = charge.amount, page.line(belonging, charge)
                if line is None:
                    continue
                price = prices.always(meaning.provider, meaning.model_used or meaning.model_requested)
                if price is not None and (price.currency, price.basis, price.ref) == charge[1:]:
                    steady[belonging] = price, line
            work = event.work
            whose = works.get(work) or page.whose(work)
            parts += (
                _head(_ROW_OF_16, event.event_id, _8, event.occurred_us - EPOCH_US),
                line.fields,
                counts[given],
                counts[read],
                counts[write],
                counts[output],
                int8(amount),
                NULL if reported is None else int8(reported),
                whose[0],
            )
            total = line.sums.get(whose[1])
            if total is None:
                total = line.sums[whose[1]] = [0, 0, 0, 0, 0]
            total[0] += 1
            total[1] += given or 0
            total[2] += (read or 0) + (write or 0)
            total[3] += output or 0
            total[4] += amount
        if len(parts) > 1:
            parts.append(TRAILER)
            self.rows[date_of(day)] = b"".join(parts)
        for line in page.lines.values():
            for said, more in line.sums.items():
                total = self._sums.setdefault(line.tags(day, said), [0, 0, 0, 0, 0])
                total[:] = map(add, total, more)
        return page.unknown

    def sum_up(self, cursor: Cursor[Any]) -> None:
        """Add the batch to the daily sums; what comes back are the caps that are passed now."""
        if not self._sums:
            return
        sums = [
            {
                "day": date_of(day),
                "environment": place.environment_id,
                "template": place.template_id,
                "version": place.version_id,
                "instance": place.instance_id,
                "role": place.role_id,
                "center": self._number(center),
                "outcome": self._number(outcome),
                "provider": self._number(provider),
                "model": self._number(model),
                "currency": self._number(currency),
                "currency_name": currency,
                "basis": int(basis),
                "attributed": attributed,
                "calls": calls,
                "input": given,
                "cached": cached,
                "output": output,
                "amount": amount,
            }
            for (day, place, center, outcome, provider, model, currency, basis, attributed), (
                calls,
                given,
                cached,
                output,
                amount,
            ) in self._sums.items()
        ]
        # One JSON text: an array for each column costs more to send than the function takes to add them up.
        # A call that failed reports no tokens: it has no price either, and nobody spent anything.
        blind = any(tags[-2] is Basis.UNPRICED and any(spent[1:4]) for tags, spent in self._sums.items())
        cursor.execute(_BOOK, [self._tenant_id, msgspec.json.encode(sums).decode(), blind], prepare=True)
        self._passed = [Passed(self._tenant_id, *row) for row in cursor.fetchall()]

    def settle(self) -> None:
        """Act on every cap that this batch found passed; acting twice changes nothing."""
        for passed in self._passed:
            with db.tenants([self._tenant_id]):
                pass_cap(passed)

    def _number(self, name: Any) -> int | None:
        field = self._codes[name]
        return None if field == NULL else int.from_bytes(field[4:], "big")


_BOOK: Final = "SELECT cap, day, spent, unpriced_model FROM costs_book(%s, %s::json, %s)"


def book(*, tenant_id: UUID, events: Sequence[Event], blocks: Sequence[Block] = (), codes: Codes) -> Booking:
    """See telemetry.facts.Ledger."""
    booking = Booking(tenant_id, codes)
    booking.add(events, blocks)
    return booking


def _charge(prices: PriceBook, event: Event) -> Charge:
    """What the event cost, whatever it carries and whenever it was."""
    meaning = event.meaning
    given, read, write, output, _ = event.tokens
    reported = None
    if event.cost_picos is not None:
        reported = Charge(event.cost_picos, (meaning.currency or "USD").upper()[:3], Basis.REPORTED, "")
    return prices.charge(
        provider=meaning.provider,
        model=meaning.model_used or meaning.model_requested,
        at_us=event.occurred_us,
        usage=Usage(given, read, write, output),
        reported=reported,
    )


def forget() -> None:
    """Drop what is remembered (tests)."""
    _books.clear()
