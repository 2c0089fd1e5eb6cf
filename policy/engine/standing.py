"""What governance knows about one agent, and the steps of a decision that need nothing else: posture, state, version."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from msgspec import Struct

from policy.engine.posture import EVERYTHING, MATRIX, STATES, TOOL_COLUMN, Column, Mode, meet
from policy.engine.risk import Catalogue, ToolClass, normalised
from policy.engine.terms import Action, Approval, Count, LimitKey, LoopKey, Reason, Risk, SpawnFacts

COLUMN = {
    Action.RUN_START: Column.START_RUN,
    Action.RUN_STEP: Column.CONTINUE_RUN,
    Action.MODEL_CALL: Column.CONTINUE_RUN,
}
NOUN = {
    Column.START_RUN: "new runs are",
    Column.CONTINUE_RUN: "running on is",
    Column.GREEN: "every tool is",
    Column.YELLOW: "yellow tools are",
    Column.RED: "red tools are",
}
UNAPPROVED = frozenset({"testing", "candidate"})
RUNNING = frozenset({"approved", "deprecated"})
CERTIFIED = frozenset({"valid", "not_required"})
SLOTTED = frozenset({"bound", "none"})


class InForce(Struct, frozen=True):
    """A posture that reaches this instance. With `tool` (glob) or `tool_class` it stops only these."""

    id: str
    mode: Mode
    scope: str
    reason: str = ""
    tool: str = ""
    tool_class: str = ""
    until: float | None = None


class Standing:
    """What is known about one instance: it changes by governance, not by the call."""

    def __init__(
        self,
        *,
        instance: str,
        state: str,
        catalogue: Catalogue,
        version: str,
        slot: str,
        certification: str,
        unapproved_versions: bool,
        postures: Iterable[InForce] = (),
        outcome_required: bool = True,
    ) -> None:
        self.instance = instance
        self.state = state
        self.version = version
        self.slot = slot
        self.certification = certification
        self.unapproved_versions = unapproved_versions
        self.postures = tuple(postures)
        self.outcome_required = outcome_required
        self.catalogue = catalogue
        self.tool_stops = tuple(stop for stop in self.postures if stop.tool or stop.tool_class)
        whole = [stop.mode for stop in self.postures if not (stop.tool or stop.tool_class)]
        self.columns = meet(whole) & STATES.get(state, 0)
        self.clear = (
            self.columns == EVERYTHING
            and not self.tool_stops
            and version_problem(self, Action.RUN_START) is None
        )


class Facts(Struct, frozen=True):
    """Everything from elsewhere, at the moment `now`; `as_of` is when `standing` was last known to be so (seconds of
    one clock). What is missing is unknown."""

    now: float
    as_of: float = 0.0
    standing: Standing | None = None
    limits: Mapping[LimitKey, Count] = {}
    loops: Mapping[LoopKey, Count] = {}
    spawn: SpawnFacts | None = None
    approval: Approval | None = None


def stopped(
    standing: Standing, action: Action, tool: str, tool_class: ToolClass, risk: Risk
) -> Reason | None:
    """Steps 2 to 4, in this order."""
    column = TOOL_COLUMN[risk] if action == Action.TOOL_CALL else COLUMN[action]
    for stop in standing.postures:
        if not MATRIX[stop.mode] & column and _concerns(stop, action, tool, tool_class):
            why = f" Reason: {stop.reason}" if stop.reason else ""
            sentence = f"{stop.scope} is {stop.mode.replace('_', ' ')}; {NOUN[column]} denied.{why}"
            return Reason(f"posture_{stop.mode}", sentence, stop.id)
    if not STATES.get(standing.state, 0) & column:
        return Reason(f"instance_{standing.state}", f"This agent is {standing.state}; {NOUN[column]} denied.")
    return version_problem(standing, action)


def _concerns(stop: InForce, action: Action, tool: str, tool_class: ToolClass) -> bool:
    if not (stop.tool or stop.tool_class):
        return True
    if action != Action.TOOL_CALL:
        return False
    if stop.tool_class:
        return stop.tool_class == tool_class
    return fnmatchcase(normalised(tool), normalised(stop.tool))


def version_problem(standing: Standing, action: Action) -> Reason | None:
    """Return why this version may not act: its state, its certification, its slot; None when it may."""
    state = standing.version
    if state in UNAPPROVED and not standing.unapproved_versions:
        sentence = f"This agent's version is {state}; this environment runs approved versions only."
        return Reason("version_not_approved", sentence)
    if state not in RUNNING and state not in UNAPPROVED:
        return Reason("version_" + state, f"This agent's version is {state} and may not run.")
    if standing.certification not in CERTIFIED:
        sentence = f"The certification that this agent needs is {standing.certification}."
        return Reason("certification_" + standing.certification, sentence)
    if standing.slot not in SLOTTED and action == Action.RUN_START:
        sentence = "The deployment slot no longer points at this version; runs may finish, none may start."
        return Reason("slot_" + standing.slot, sentence)
    return None
