"""What time it is. The demo and the tests may set it; a server with production checks on refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime

from django.conf import settings

_set: ContextVar[datetime | None] = ContextVar("arm_clock", default=None)


def now() -> datetime:
    """This moment in UTC, or the moment the demo or a test has set."""
    return _set.get() or datetime.now(UTC)


def today() -> date:
    """The calendar day in UTC: the day that caps and rollups count by."""
    return now().date()


def stamp(moment: datetime) -> str:
    """As documents for others write it: UTC with milliseconds, `2026-11-22T13:52:00.123Z` (RFC 3339)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def exactly(moment: datetime) -> str:
    """As records keep a moment that must be found again to the microsecond: RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Let the services inside believe it is `moment` (aware). Refused where production checks are on."""
    if not settings.CLOCK_MAY_BE_SET:
        raise RuntimeError("The clock may be set only by the demo and by tests (ARM_DEMO=1).")
    token = _set.set(moment.astimezone(UTC))
    try:
        yield
    finally:
        _set.reset(token)
