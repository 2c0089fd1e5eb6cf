"""What a role asks of whoever does it: which values make sense, and what a version lacks. Pure functions only."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from arm.errors import Problem

MOST: Final = 50
"""Capabilities, certifications or environments of one role."""
MOST_APPROVALS: Final = 9
"""People that a version may be made to need."""
HIGHEST_TIER: Final = 5
"""Of autonomy: a role of this tier takes any."""
SLUG: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*\Z")
BUDGETS: Final = ("budget_per_day", "budget_per_month", "budget_per_outcome")
ASKS: Final = frozenset(
    {
        *BUDGETS,
        *("capabilities", "certifications", "currency", "success_rate", "latency_ms", "availability"),
        *("coverage", "failover", "approvals"),
    }
)
"""What a role says beside its name, purpose, tier, risk class and cost centre."""


def problems(values: Mapping[str, Any], environments: Iterable[str]) -> list[Problem]:
    """Everything that is wrong with what a role shall ask, each with the pointer of its member.

    `values` are those of ASKS that are given, `environments` the slugs that exist.
    """
    found: list[Problem] = []
    if "tier" in values:
        found += _whole(values["tier"], 0, HIGHEST_TIER, "/tier")
    if "approvals" in values:
        found += _whole(values["approvals"], 1, MOST_APPROVALS, "/approvals")
    found += _named(values.get("capabilities") or (), "/capabilities", "name", 0, 100)
    found += _slugs(values.get("certifications") or (), "/certifications")
    coverage = values.get("coverage") or ()
    found += _named(coverage, "/coverage", "environment", 1, 10_000)
    known = set(environments)
    found += [
        _problem(f"/coverage/{n}/environment", "unknown", f"There is no environment “{row['environment']}”.")
        for n, row in enumerate(coverage)
        if isinstance(row, Mapping)
        and isinstance(row.get("environment"), str)
        and row["environment"] not in known
    ]
    for name in BUDGETS:
        amount = values.get(name)
        if amount is not None and not _amount(amount):
            found.append(_problem(f"/{name}", "min_value", "A budget is a sum of money, not less than zero."))
    found += _ordered(values)
    if any(values.get(name) is not None for name in BUDGETS) and not re.fullmatch(
        r"[A-Z]{3}", values.get("currency") or ""
    ):
        found.append(_problem("/currency", "currency", "Name the budget's currency by its three letters."))
    for name in ("success_rate", "availability"):
        rate = values.get(name)
        if rate is not None and not (_amount(rate) and 0 < rate <= 100):
            found.append(_problem(f"/{name}", "range", "Per cent: more than 0, at most 100."))
    if values.get("latency_ms") is not None:
        found += _whole(values["latency_ms"], 1, 86_400_000, "/latency_ms")
    return found


def priced(values: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """The same with the currency of its budgets: `currency` where it says none, and none where there is no budget."""
    budgeted = any(values.get(name) is not None for name in BUDGETS)
    return {**values, "currency": (values.get("currency") or currency) if budgeted else ""}


def normal(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what says nothing, in a fixed order: what a person types twice differently is one value."""
    told = dict(values)
    for name, key in (("capabilities", "name"), ("coverage", "environment")):
        if name in told:
            rows = ({key: row[key], "least": row["least"]} for row in told[name] or ())
            told[name] = sorted(rows, key=lambda row: str(row[key]))
    if "certifications" in told:
        told["certifications"] = sorted(told["certifications"] or ())
    return told


def _ordered(values: Mapping[str, Any]) -> list[Problem]:
    day, month = (values.get(name) for name in BUDGETS[:2])
    if _amount(day) and _amount(month) and day > month:  # type: ignore[operator]
        return [_problem("/budget_per_day", "order", "A day may not cost more than its month.")]
    return []


def _amount(value: Any) -> bool:
    return isinstance(value, Decimal) and value.is_finite() and value >= 0


def _named(rows: Any, at: str, key: str, least: int, most: int) -> list[Problem]:
    """Problems of a list of {key: slug, "least": whole number}."""
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        return [_problem(at, "list", f"A list of objects with “{key}” and “least”.")]
    found = [_problem(at, "max_length", f"At most {MOST}.")] if len(rows) > MOST else []
    for number, row in enumerate(rows[:MOST]):
        if not isinstance(row, Mapping) or set(row) != {key, "least"}:
            found.append(_problem(f"{at}/{number}", "object", f"Exactly “{key}” and “least”."))
            continue
        found += _whole(row["least"], least, most, f"{at}/{number}/least")
    names = [row.get(key) if isinstance(row, Mapping) else None for row in rows[:MOST]]
    return found + _words(names, lambda number: f"{at}/{number}/{key}")


def _slugs(rows: Any, at: str) -> list[Problem]:
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        return [_problem(at, "list", "A list of short names.")]
    found = [_problem(at, "max_length", f"At most {MOST}.")] if len(rows) > MOST else []
    return found + _words(rows[:MOST], lambda number: f"{at}/{number}", missing=True)


def _words(names: Sequence[Any], pointer: Any, *, missing: bool = False) -> list[Problem]:
    found, held = [], set()
    for number, name in enumerate(names):
        if name is None and not missing:
            continue  # its row has been complained of
        if not isinstance(name, str) or len(name) > 80 or not SLUG.match(name):
            said = "A short name: small letters and figures, parted by . _ or -, at most 80 characters."
            found.append(_problem(pointer(number), "slug", said))
        elif name in held:
            found.append(_problem(pointer(number), "unique", f"“{name}” is named twice."))
        else:
            held.add(name)
    return found


def _whole(value: Any, least: int, most: int, pointer: str) -> list[Problem]:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return []
    return [_problem(pointer, "range", f"A whole number from {least} to {most}.")]


def _problem(pointer: str, code: str, message: str) -> Problem:
    return Problem(pointer=pointer, code=code, message=message)


# what a version brings


class Certified(StrEnum):
    """How a certification stands at a moment."""

    VALID = "valid"
    PLANNED = "planned"
    EXPIRED = "expired"
    REVOKED = "revoked"


def certified(
    now: datetime, valid_from: datetime, valid_until: datetime, revoked_at: datetime | None
) -> Certified:
    """The standing of one certification; it ends at `valid_until` itself."""
    if revoked_at is not None and revoked_at <= now:
        return Certified.REVOKED
    if valid_until <= now:
        return Certified.EXPIRED
    return Certified.PLANNED if valid_from > now else Certified.VALID


def score(passed: int, total: int) -> Decimal:
    """Per cent with one place, rounded down: nobody reaches a threshold by rounding."""
    if not total:
        return Decimal(0)
    return Decimal(passed * 1000 // total) / 10


def shown(value: Decimal) -> str:
    """72 or 72.5, without a tail of zeros."""
    return f"{value.normalize():f}"
