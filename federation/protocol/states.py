"""Run states as the protocol writes them, beside those of the directory and the modes of stops."""

from collections.abc import Iterable
from enum import StrEnum

from policy.engine import Mode
from policy.engine.posture import STATES, desired, meet
from registry.lifecycle import InstanceState


class RunState(StrEnum):
    """What ARM may want of an instance, least severe first."""

    ACTIVE = "Active"
    DRAINING = "Draining"
    PAUSED = "Paused"
    READ_ONLY = "ReadOnly"
    QUARANTINED = "Quarantined"
    RETIRED = "Retired"

    @property
    def severity(self) -> int:
        return list(RunState).index(self)


OBSERVED = (*(state.value for state in RunState), "Provisioning", "Unknown", "Missing")
"""What a provider may say of an instance."""

TO_DIRECTORY = {
    RunState.ACTIVE: InstanceState.ACTIVE,
    RunState.DRAINING: InstanceState.DRAINING,
    RunState.PAUSED: InstanceState.PAUSED,
    RunState.READ_ONLY: InstanceState.READ_ONLY,
    RunState.QUARANTINED: InstanceState.QUARANTINED,
    RunState.RETIRED: InstanceState.RETIRED,
}
_WANTED = {state: run for run, state in TO_DIRECTORY.items()} | {InstanceState.PROVISIONING: RunState.PAUSED}
"""What is being provisioned may do nothing yet, which a provider knows as paused."""
_STOPPED = {
    Mode.DRAINING: RunState.DRAINING,
    Mode.PAUSED: RunState.PAUSED,
    Mode.READ_ONLY: RunState.READ_ONLY,
    Mode.QUARANTINED: RunState.QUARANTINED,
    Mode.KILLED: RunState.QUARANTINED,  # that it retires, a second person confirms
}
NEEDS = {
    RunState.DRAINING: "state.drain",
    RunState.PAUSED: "state.pause",
    RunState.READ_ONLY: "state.readonly",
    RunState.QUARANTINED: "state.quarantine",
    RunState.RETIRED: "state.retire",
}
"""The capability that a provider must have declared to be told this state."""


def wanted(state: str, modes: Iterable[Mode]) -> tuple[RunState, dict[str, bool]]:
    """What a provider is to enforce: the severest of the instance's own state and the stops above it, and what all of
    them together still allow."""
    stops = list(modes)
    words = [_WANTED[InstanceState(state)], *(_STOPPED[mode] for mode in stops)]
    return max(words, key=lambda word: word.severity), desired(STATES[state] & meet(stops))


def credible(said: str, proven: str) -> bool:
    """Whether ARM may say of an instance what its provider says: that it works is believed, that it is held back only
    when it was proven (`proven`: what was attested of the wanted generation, '' for nothing)."""
    return said in (RunState.ACTIVE, proven)
