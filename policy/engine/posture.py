"""Kill switches as columns: what each mode still allows, and how several combine."""

from collections.abc import Iterable
from enum import IntEnum, StrEnum

from policy.engine.terms import Risk


class Column(IntEnum):
    """Each column is one bit, so that combining postures is one `and`."""

    START_RUN = 1
    CONTINUE_RUN = 2
    GREEN = 4
    YELLOW = 8
    RED = 16


EVERYTHING = 31
NOTHING = 0
TOOL_COLUMN = {Risk.GREEN: Column.GREEN, Risk.YELLOW: Column.YELLOW, Risk.RED: Column.RED}


class Mode(StrEnum):
    NORMAL = "normal"
    DRAINING = "draining"
    PAUSED = "paused"
    READ_ONLY = "read_only"
    QUARANTINED = "quarantined"
    KILLED = "killed"

    @property
    def rank(self) -> int:
        """Orders the labels. It says nothing about what is allowed: paused allows less than read-only."""
        return list(Mode).index(self)

    @property
    def label(self) -> str:
        return LABELS[self]


LABELS = {
    Mode.NORMAL: "Active",
    Mode.DRAINING: "Draining",
    Mode.PAUSED: "Paused",
    Mode.READ_ONLY: "ReadOnly",
    Mode.QUARANTINED: "Quarantined",
    Mode.KILLED: "Retired",
}


class Exit(StrEnum):
    """Who may end a mode."""

    NONE = "none"
    OPERATOR = "operator"
    APPROVER = "approver"
    TWO_APPROVERS = "two_approvers"
    NEVER = "never"


#       mode                start run          continue run          green          yellow          red
MATRIX: dict[Mode, int] = {
    Mode.NORMAL: EVERYTHING,
    Mode.DRAINING: Column.CONTINUE_RUN | Column.GREEN | Column.YELLOW | Column.RED,
    Mode.PAUSED: NOTHING,
    Mode.READ_ONLY: Column.START_RUN | Column.CONTINUE_RUN | Column.GREEN,
    Mode.QUARANTINED: NOTHING,
    Mode.KILLED: NOTHING,
}

EXITS: dict[Mode, Exit] = {
    Mode.NORMAL: Exit.NONE,
    Mode.DRAINING: Exit.OPERATOR,
    Mode.PAUSED: Exit.OPERATOR,
    Mode.READ_ONLY: Exit.APPROVER,
    Mode.QUARANTINED: Exit.TWO_APPROVERS,
    Mode.KILLED: Exit.NEVER,
}

APPROVERS: dict[Exit, int] = {Exit.OPERATOR: 0, Exit.APPROVER: 1, Exit.TWO_APPROVERS: 2}
"""How many approvers who took no part must agree to the end of a mode."""

# Registry's desired states, in the same columns. A state that is not listed allows nothing.
STATES: dict[str, int] = {
    "active": EVERYTHING,
    "draining": MATRIX[Mode.DRAINING],
    "paused": NOTHING,
    "readonly": MATRIX[Mode.READ_ONLY],
    "read_only": MATRIX[Mode.READ_ONLY],
    "quarantined": NOTHING,
    "provisioning": NOTHING,
    "retired": NOTHING,
}


def meet(modes: Iterable[Mode]) -> int:
    """Return the columns that every one of the modes allows; without any, everything."""
    columns = EVERYTHING
    for mode in modes:
        columns &= MATRIX[mode]
    return columns


def label(modes: Iterable[Mode]) -> str:
    """Return the name shown for several modes in force: the highest rank."""
    return max(modes, key=lambda mode: mode.rank, default=Mode.NORMAL).label


def is_restriction(before: int, after: int) -> bool:
    """True if no column becomes more permissive; every other move is a release."""
    return not after & ~before


def desired(columns: int) -> dict[str, bool]:
    """Return the `allow` part of the desired document that a provider enforces."""
    return {
        "new_work": bool(columns & Column.START_RUN),
        "side_effects": bool(columns & Column.YELLOW),
        "spawn": may_spawn(columns),
    }


def may_spawn(columns: int) -> bool:
    """Return whether others may be started: that is new work, and as grave as a red tool."""
    return bool(columns & Column.START_RUN and columns & Column.RED)
