"""States of versions and instances, and which may follow which. Data and pure functions only."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from enum import Enum, IntEnum

from django.db.models import TextChoices

from arm.rights import Right

# versions


class VersionState(TextChoices):
    DRAFT = "draft", "Draft"
    TESTING = "testing", "Testing"
    CANDIDATE = "candidate", "Candidate"
    APPROVED = "approved", "Approved"
    DEPRECATED = "deprecated", "Deprecated"
    RETIRED = "retired", "Retired"


VERSION_MOVES: dict[VersionState, dict[VersionState, Right]] = {
    VersionState.DRAFT: {
        VersionState.TESTING: Right.SUBMIT_VERSION,
        VersionState.RETIRED: Right.CREATE_VERSION,
    },
    VersionState.TESTING: {
        VersionState.CANDIDATE: Right.SUBMIT_VERSION,
        VersionState.DRAFT: Right.SUBMIT_VERSION,
        VersionState.RETIRED: Right.CREATE_VERSION,
    },
    VersionState.CANDIDATE: {
        VersionState.APPROVED: Right.APPROVE_VERSION,
        VersionState.TESTING: Right.SUBMIT_VERSION,
        VersionState.RETIRED: Right.CREATE_VERSION,
    },
    VersionState.APPROVED: {VersionState.DEPRECATED: Right.PROMOTE_RELEASE},
    VersionState.DEPRECATED: {VersionState.RETIRED: Right.PROMOTE_RELEASE},
    VersionState.RETIRED: {},
}
"""From, to, and the right that moves. Every move is put to the promotion gates; most gates care for one target."""

RUNNABLE = frozenset({VersionState.TESTING, VersionState.CANDIDATE, VersionState.APPROVED})
"""What may run at all. Production and risks high and critical take approved versions only."""


def version_moves(state: str) -> dict[VersionState, Right]:
    """Where a version in this state may go, and the right each move needs."""
    return VERSION_MOVES[VersionState(state)]


class Phase(TextChoices):
    """Where a step of the lifecycle stands for a version that is in some state."""

    DONE = "done"
    NOW = "now"
    NEXT = "next"
    LATER = "later"
    SKIPPED = "skipped"


def version_track(state: str, left: str = "") -> list[tuple[VersionState, Phase]]:
    """Every state in order, with its phase. `left` is the state that a retired version was in before: what lay beyond
    it was never reached."""
    order = list(VersionState)
    here = VersionState(state)
    reached = order.index(VersionState(left or VersionState.DRAFT) if here is VersionState.RETIRED else here)

    def phase(place: int) -> Phase:
        if order[place] is here:
            return Phase.NOW
        if here is VersionState.RETIRED:
            return Phase.DONE if place <= reached else Phase.SKIPPED
        if place < reached:
            return Phase.DONE
        goal = here is VersionState.APPROVED  # what follows is no step forward
        return Phase.NEXT if place == reached + 1 and not goal else Phase.LATER

    return [(step, phase(place)) for place, step in enumerate(order)]


# instances


class InstanceState(TextChoices):
    PROVISIONING = "provisioning", "Provisioning"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"
    READ_ONLY = "read_only", "Read only"
    DRAINING = "draining", "Draining"
    QUARANTINED = "quarantined", "Quarantined"
    RETIRED = "retired", "Retired"


@dataclass(frozen=True, slots=True)
class Allows:
    """What an instance may do in a state, as far as the state goes; policy may always allow less."""

    new_work: bool
    continue_work: bool
    green: bool
    yellow: bool
    red: bool


_NOTHING = Allows(False, False, False, False, False)
ALLOWS: dict[InstanceState, Allows] = {
    InstanceState.PROVISIONING: _NOTHING,
    InstanceState.ACTIVE: Allows(True, True, True, True, True),
    InstanceState.DRAINING: Allows(False, True, True, True, True),
    InstanceState.READ_ONLY: Allows(True, True, True, False, False),
    InstanceState.PAUSED: _NOTHING,
    InstanceState.QUARANTINED: _NOTHING,
    InstanceState.RETIRED: _NOTHING,
}

AT_WORK = frozenset(state for state in InstanceState if ALLOWS[state].continue_work)
"""States of an instance that was let work."""

_S = InstanceState
INSTANCE_MOVES: dict[InstanceState, frozenset[InstanceState]] = {
    _S.PROVISIONING: frozenset({_S.ACTIVE, _S.PAUSED, _S.QUARANTINED, _S.RETIRED}),
    _S.ACTIVE: frozenset({_S.PAUSED, _S.READ_ONLY, _S.DRAINING, _S.QUARANTINED}),
    _S.PAUSED: frozenset({_S.ACTIVE, _S.READ_ONLY, _S.DRAINING, _S.QUARANTINED}),
    _S.READ_ONLY: frozenset({_S.ACTIVE, _S.PAUSED, _S.DRAINING, _S.QUARANTINED}),
    _S.DRAINING: frozenset({_S.ACTIVE, _S.PAUSED, _S.READ_ONLY, _S.QUARANTINED, _S.RETIRED}),
    _S.QUARANTINED: frozenset({_S.ACTIVE, _S.READ_ONLY, _S.RETIRED}),
    _S.RETIRED: frozenset(),
}


class Move(Enum):
    """What kind of move it is decides who may make it."""

    ACTIVATION = "activation"
    RESTRICTION = "restriction"
    RELEASE = "release"
    RETIREMENT = "retirement"


def instance_move(state: str, to: str) -> Move | None:
    """The kind of this move, or None where it does not exist.

    A restriction makes no column more permissive and is made at once by one person or a rule; everything else
    that leaves a stop is a release.
    """
    was, target = InstanceState(state), InstanceState(to)
    if target not in INSTANCE_MOVES[was]:
        return None
    if target is _S.RETIRED:
        return Move.RETIREMENT
    if was is _S.PROVISIONING and target is _S.ACTIVE:
        return Move.ACTIVATION
    loosened = any(
        after and not before
        for before, after in zip(astuple(ALLOWS[was]), astuple(ALLOWS[target]), strict=True)
    )
    return Move.RELEASE if loosened else Move.RESTRICTION


class Release(IntEnum):
    """Who may lift a stop, least strict first."""

    OPERATOR = 1
    APPROVER = 2
    TWO_APPROVERS = 3


_RELEASED_BY = {
    _S.PROVISIONING: Release.OPERATOR,
    _S.ACTIVE: Release.OPERATOR,
    _S.DRAINING: Release.OPERATOR,
    _S.PAUSED: Release.OPERATOR,
    _S.READ_ONLY: Release.APPROVER,
    _S.QUARANTINED: Release.TWO_APPROVERS,
}


def release_needs(states: Iterable[str]) -> Release:
    """Who may lift a stop, given every state since the instance was last free to work.

    The strictest counts: pausing what is read only must not become a way round the approver.
    """
    return max((_RELEASED_BY[InstanceState(state)] for state in states), default=Release.OPERATOR)


class ImportState(TextChoices):
    """How far a table that somebody sent has come."""

    CHECKING = "checking", "Checking"
    CHECKED = "checked", "Ready to apply"
    REFUSED = "refused", "Refused"
    APPLYING = "applying", "Applying"
    APPLIED = "applied", "Applied"
    FAILED = "failed", "Stopped"
    CANCELLED = "cancelled", "Cancelled"


GOING_ON = (ImportState.CHECKING, ImportState.APPLYING)
MAY_APPLY = (ImportState.CHECKED, ImportState.FAILED)
NOT_ENDED = (*GOING_ON, *MAY_APPLY)
MAY_CANCEL = (*NOT_ENDED, ImportState.REFUSED)
