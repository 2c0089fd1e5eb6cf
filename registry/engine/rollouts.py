"""States of a rollout and of its steps, how a plan becomes steps, and what health facts say together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from django.db.models import TextChoices

T = TypeVar("T")


class RolloutState(TextChoices):
    PLANNED = "planned", "Planned"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    COMPLETED = "completed", "Completed"
    ABORTED = "aborted", "Aborted"


class StepState(TextChoices):
    WAITING = "waiting", "Waiting"
    BAKING = "baking", "Baking"
    PASSED = "passed", "Passed"
    STOPPED = "stopped", "Stopped"


class Strategy(TextChoices):
    ALL = "all", "All at once"
    CANARY = "canary", "Canary"
    PHASED = "phased", "Phased"


_S = RolloutState
ROLLOUT_MOVES: Final[dict[RolloutState, frozenset[RolloutState]]] = {
    _S.PLANNED: frozenset({_S.RUNNING, _S.ABORTED}),
    _S.RUNNING: frozenset({_S.PAUSED, _S.COMPLETED, _S.ABORTED}),
    _S.PAUSED: frozenset({_S.RUNNING, _S.ABORTED}),
    _S.COMPLETED: frozenset(),
    _S.ABORTED: frozenset(),
}
HELD: Final = frozenset({_S.RUNNING, _S.PAUSED})
"""While a rollout is in these states its slots are its own: nothing else rebinds them."""
OPEN: Final = HELD | {_S.PLANNED}
ENDED: Final = frozenset(_S) - OPEN


def may_move(state: str, to: RolloutState) -> bool:
    return to in ROLLOUT_MOVES[RolloutState(state)]


@dataclass(frozen=True, slots=True)
class Plan:
    """One step of a plan: the share of a canary in percent, or which batch of slots it rebinds (from 1)."""

    percent: int
    batch: int


def plan(strategy: str, *, percents: Sequence[int] = (), batch_size: int = 1, slots: int = 1) -> list[Plan]:
    """The steps, in order. The last step of every plan has the whole; ValueError says what is wrong with it."""
    if strategy == Strategy.ALL:
        return [Plan(100, 1)]
    if strategy == Strategy.PHASED:
        if not 1 <= batch_size <= slots:
            raise ValueError(f"A batch has between 1 and {slots} slots.")
        return [Plan(100, number + 1) for number in range(-(-slots // batch_size))]
    if not percents or any(not 1 <= percent <= 100 for percent in percents):
        raise ValueError("Every step of a canary is a share between 1 and 100 percent.")
    if any(after <= before for before, after in pairwise(percents)):
        raise ValueError("Every step of a canary is larger than the one before it.")
    if percents[-1] != 100:
        raise ValueError("The last step of a canary is 100 percent.")
    return [Plan(percent, 1) for percent in percents]


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items in batches of at most `size`, in order."""
    return [items[start : start + size] for start in range(0, len(items), size)]


@dataclass(frozen=True, slots=True)
class Fact:
    """What one app knows of a version's health in a slot. `ok` None: it knows nothing, which is never healthy.

    `name` is one of the gates that a rollout may name; `value` and `limit` are in the unit that `sentence` tells.
    """

    name: str
    value: float | None
    limit: float | None
    ok: bool | None
    sentence: str


MANUAL: Final = "manual"
"""Gate: a person's yes. No fact stands in for it, and a fact that speaks against the step goes before it."""


class Health(TextChoices):
    HEALTHY = "healthy", "Healthy"
    UNHEALTHY = "unhealthy", "Unhealthy"
    UNKNOWN = "unknown", "Unknown"


def judge(facts: Collection[Fact], wanted: Collection[str]) -> Health:
    """One bad fact of a wanted gate is unhealthy; healthy is only what every wanted gate has vouched for.

    Without a wanted gate nobody vouches for anything: it is unknown, and a person confirms each step. A person's yes is
    no fact: it is asked for besides (`terms.goes_on`).
    """
    wanted = [gate for gate in wanted if gate != MANUAL]
    heard = [fact for fact in facts if fact.name in wanted]
    if any(fact.ok is False for fact in heard):
        return Health.UNHEALTHY
    vouched = {fact.name for fact in heard if fact.ok} - {fact.name for fact in heard if fact.ok is None}
    return Health.HEALTHY if wanted and vouched >= set(wanted) else Health.UNKNOWN
