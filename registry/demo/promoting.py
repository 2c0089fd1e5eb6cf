"""How the demo's versions go on: each step by another person, at its own moment."""

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.utils.module_loading import import_string

from arm.demo import Demo
from registry import services
from registry.lifecycle import VersionState
from registry.models import AgentTemplate, AgentVersion

ACCEPTED: Final = "Callers were told; the tools that went were not used."
WAY: Final = (VersionState.TESTING, VersionState.CANDIDATE, VersionState.APPROVED)


def promote(demo: Demo, version: AgentVersion, final: VersionState, began: datetime) -> AgentVersion:
    movers = ("alice", "carol", "erin")  # submits, promotes, approves: three people
    if final is VersionState.DRAFT:
        return version
    for hours, (state, mover) in enumerate(zip(WAY, movers, strict=True), 1):
        with demo.at(began + timedelta(hours=6 * hours)):
            version = services.move_version(
                version=version,
                to=state,
                actor=demo.people[mover],
                reason=f"Ready to be {state.label.lower()}",
                acknowledged=ACCEPTED if state is VersionState.CANDIDATE else "",
            )
            if state is VersionState.TESTING:
                tell(demo, version, final is not state)
        if state is final:
            break
    return version


def tell(demo: Demo, subject: AgentTemplate | AgentVersion, ready: bool) -> None:
    """Let the apps above do their part before it goes on; `ready` says whether it will."""
    for path in settings.DEMO_OBSERVERS:
        import_string(path)(demo, subject, ready)
