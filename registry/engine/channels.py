"""The order of channels: where an environment stands after it was moved, and whose rule that changes. Pure."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def moved_to(order: Sequence[T], item: T, place: int) -> list[T]:
    """The order with `item` at `place`, counted from 1; those behind it move up. ValueError where there is no such
    place."""
    if not 1 <= place <= len(order):
        raise ValueError(f"There are places 1 to {len(order)}.")
    rest = [one for one in order if one != item]
    return [*rest[: place - 1], item, *rest[place - 1 :]]


def other_rules(before: Sequence[T], after: Sequence[T]) -> list[tuple[T, T | None, T | None]]:
    """Whose channel before them is another one, in the new order: (which, before it until now, before it then)."""
    was = dict(zip(before, [None, *before], strict=False))
    then = dict(zip(after, [None, *after], strict=False))
    return [(one, was.get(one), then[one]) for one in after if was.get(one) != then[one]]
