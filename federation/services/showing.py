"""What pages, exports and the API may say that an instance is: never that it is held back without a proof of today's wish."""

from datetime import datetime
from typing import Any

from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus

from ..models import Desired, InstanceReport
from ..protocol.states import TO_DIRECTORY, RunState, credible


def show(report: InstanceReport, desired: Desired | None, now: datetime) -> None:
    """Write what pages may say of the instance: at work when it says so, held back when it was proven. Until then it is
    what it was; it is unknown where the provider does not know, or where what it was has been disproved."""
    instance = report.instance
    if instance is None:
        return
    told: dict[str, Any] = {
        "generation": min(report.generation, 2**31 - 1),
        "reported_at": now,
        "heartbeat_at": now,
    }
    proven = report.attested_state if desired and report.attested_generation == desired.generation else ""
    if credible(report.state, proven):
        as_wanted = desired is not None and report.state == desired.run_state
        told["state"] = instance.state if as_wanted else TO_DIRECTORY[RunState(report.state)].value
    elif report.state not in set(RunState) or report.regressed_at == now:
        told["state"] = ""
    InstanceStatus.objects.filter(instance=instance).update(**told)


def forget(instance: AgentInstance, report: InstanceReport | None) -> None:
    """Something else is wanted from now on, and what was proven was of an earlier wish. That it works is believed, if
    that is the last word; anything else is unknown until it is proven anew."""
    works = report is not None and not report.missing and report.state == RunState.ACTIVE
    state = InstanceState.ACTIVE.value if works else ""
    InstanceStatus.objects.filter(instance=instance).exclude(state=state).update(state=state)


def proves(report: InstanceReport | None, desired: Desired) -> bool:
    """Whether what is wanted now has been proven, and nothing else was said since."""
    return (
        report is not None
        and not report.missing
        and report.attested_generation == desired.generation
        and report.state == report.attested_state == desired.run_state
    )


def show_proven(instance: AgentInstance, report: InstanceReport | None, desired: Desired) -> None:
    """ARM wants of the instance what its provider had proven already: it is what is wanted of it."""
    if proves(report, desired):
        InstanceStatus.objects.filter(instance=instance).update(state=instance.state)
