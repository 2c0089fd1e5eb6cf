"""How many of those that leave a slot may drain, so that as many stay at work as before. Pure."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.db.models import TextChoices


class Drain(TextChoices):
    """When what ran the version left drains."""

    REPLACED = "replaced", "Once as many are at work"
    AT_ONCE = "at_once", "At once"


class HandoverEnd(TextChoices):
    """How the time in which both versions worked came to its end."""

    REPLACED = "replaced", "Replaced"
    TIME_UP = "time_up", "Time was up"
    AT_ONCE = "at_once", "Drained at once"
    KEPT = "kept", "Bound again"
    GONE = "gone", "None was left at work"


WITHIN: Final = timedelta(minutes=30)
"""How long replacements have to come to work, unless somebody says otherwise."""
SHORTEST: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(hours=24)


def may_leave(at_work: int, replaced: int, wanted: int) -> int:
    """How many of the `at_work` that leave may drain while `replaced` of those that come are at work and `wanted` must
    be at any moment."""
    return max(0, min(at_work, at_work + replaced - wanted))


def leaving_now(at_work: Sequence[tuple[int, bool]], replaced: int, wanted: int) -> list[int]:
    """How many drain now of each that leaves, in the order in which they began to: (how many are at work, whether their
    time is up)."""
    spare = may_leave(sum(number for number, _ in at_work), replaced, wanted)
    found = []
    for number, late in at_work:
        going = number if late else min(number, spare)
        spare = max(0, spare - going)
        found.append(going)
    return found
