"""What each step of a rollout waits for before the next one: how long it bakes, whose word it needs, within which limits."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from arm.errors import Problem
from arm.words import counted
from registry.engine.rollouts import MANUAL, Health, StepState
from registry.genome import pointer

LIMITS: Final[dict[str, float]] = {"errors": 5.0, "cost": 150.0, "incidents": 0.0}
"""Gate: its limit unless a plan has its own. Percent of calls that fail; percent of what a call cost before; open
incidents of the version."""
HIGHEST: Final = 1e6
"""No limit reaches it."""
BAKE_AT_MOST: Final = timedelta(days=14)
TOLD: Final = {
    "errors": "calls that fail, at most {:g} %",
    "cost": "what a call costs, at most {:g} % of what it cost before",
    "incidents": "open incidents, at most {:g}",
    "evaluation": "every mandatory suite passed",
}
"""Gate: what it asks, in words, with its limit where it has one."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a step waits for. `gates` without any, or with MANUAL: a person's yes. `limits` by gate."""

    bake_seconds: int
    gates: tuple[str, ...]
    limits: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StepSays:
    """What a plan says of one step alone. None, and a limit that it does not name: as the rollout has it."""

    bake_seconds: int | None = None
    health_gates: Sequence[str] | None = None
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Want:
    """One thing that a step waits for. `met` None: nobody knows yet; False: it speaks against the step."""

    gate: str
    met: bool | None
    said: str


def terms_of(rollout: Terms, says: StepSays) -> Terms:
    """What the step waits for: its own word first, the rollout's for the rest."""
    gates = rollout.gates if says.health_gates is None else tuple(dict.fromkeys(says.health_gates))
    bake = rollout.bake_seconds if says.bake_seconds is None else says.bake_seconds
    return Terms(bake, gates, {**rollout.limits, **says.limits})


def wrong_with(
    says: Sequence[StepSays], rollout: Terms, *, planned: int, known: Collection[str]
) -> list[Problem]:
    """Everything that is wrong with what a plan of so many steps says of single ones, by pointers into the request
    (`/steps/0` is the first step). `known`: the gates that somebody answers for, with MANUAL."""
    found = []
    for n, one in enumerate(says):
        if n >= planned:
            message = f"The plan has {counted(planned, 'step')}; nothing can be said of a step {n + 1}."
            found.append(_problem(message, "plan", n))
            continue
        step, most = f"Step {n + 1}", int(BAKE_AT_MOST.total_seconds())
        if one.bake_seconds is not None and not 0 <= one.bake_seconds <= most:
            message = f"{step} bakes between nothing and {BAKE_AT_MOST.days} days."
            found.append(_problem(message, "range", n, "bake_seconds"))
        for place, gate in enumerate(one.health_gates or ()):
            if gate not in known:
                message = f"Nobody answers for {gate}; known: {', '.join(known)}."
                found.append(_problem(message, "enum", n, "health_gates", place))
        asked = terms_of(rollout, one).gates
        for gate, limit in one.limits.items():
            if message := wrong_limit(gate, limit):
                found.append(_problem(message, "range", n, "limits", gate))
            elif gate not in asked:
                message = f"{step} does not ask {gate}, so a limit of it would hold nothing."
                found.append(_problem(message, "unasked", n, "limits", gate))
    return found


def wrong_limit(gate: str, limit: float) -> str:
    """Why this is no limit of the gate, as a sentence; nothing where it is one."""
    if gate not in LIMITS:
        return f"A limit is one of {', '.join(LIMITS)}."
    if not (math.isfinite(limit) and 0 <= limit < HIGHEST):
        return f"A limit is a number, not below zero and below {HIGHEST:,.0f}."
    return ""


def asks_person(gates: Collection[str]) -> bool:
    """Whether a step goes on only with a person's yes, whatever the facts say."""
    return not gates or MANUAL in gates


def goes_on(health: str, gates: Collection[str]) -> bool:
    """Whether a step that has baked goes on by the rule."""
    return health == Health.HEALTHY and not asks_person(gates)


def wants(
    terms: Terms,
    *,
    state: str,
    due_at: datetime | None,
    facts: Sequence[Mapping[str, Any]],
    confirmed_by: str,
    now: datetime,
    paused: bool = False,
) -> tuple[Want, ...]:
    """Everything that a step waits for, in order: its time, each gate, a person. `facts` as they were judged last.
    `paused`: the rollout is, so its step bakes anew once it is resumed."""
    passed, begun = state == StepState.PASSED, state != StepState.WAITING
    baked = passed or (state == StepState.BAKING and due_at is not None and due_at <= now and not paused)
    bakes = f"bakes {lasting(terms.bake_seconds)}"
    if paused and not passed and begun:
        bakes += ", anew once the rollout is resumed"
    elif begun and not baked and due_at is not None:
        bakes += f", until {due_at:%Y-%m-%d %H:%M} UTC"
    found = [Want("bake", True if baked else None, f"{bakes[0].upper()}{bakes[1:]}.")]
    known = {fact["name"]: fact for fact in facts}
    for gate in terms.gates:
        if gate == MANUAL:
            continue
        asked = TOLD.get(gate, gate)
        if gate in terms.limits:
            asked = asked.format(terms.limits[gate])
        asked = f"{asked[0].upper()}{asked[1:]}."
        fact = known.get(gate)
        found.append(
            Want(gate, fact["ok"], f"{asked} {fact['sentence']}") if fact else Want(gate, None, asked)
        )
    if confirmed_by:
        found.append(Want(MANUAL, True, f"A person's yes: {confirmed_by}."))
    elif asks_person(terms.gates):
        found.append(Want(MANUAL, None, "A person's yes."))
    return tuple(found)


def lasting(seconds: int) -> str:
    """So many seconds in the largest unit that divides them: `no time`, `90 seconds`, `10 minutes`, `2 days`."""
    for size, noun in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds and seconds % size == 0:
            return counted(seconds // size, noun)
    return "no time"


def _problem(message: str, code: str, *path: str | int) -> Problem:
    return Problem(pointer=pointer(("steps", *path)), code=code, message=message)
