"""What pages, exports and the API may say that an instance is: never that it is held back without a proof of today's wish."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, DateTimeField, Exists, F, Value, When

from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus, Observation
from registry.services.history import note_late

from ..models import Desired, InstanceReport
from ..protocol.states import TO_DIRECTORY, RunState, credible

BACKDATED = timedelta(hours=24)
"""How long ago an adapter that was cut off may have seen what it says now."""


def show(
    report: InstanceReport, desired: Desired | None, now: datetime, observed_at: datetime | None = None
) -> None:
    """Write what pages may say of the instance: at work when it says so, held back when it was proven. Until then it is
    what it was; it is unknown where the provider does not know, or where what it was has been disproved. `observed_at`:
    since when, by the provider's clock."""
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
        told["state"] = (
            _is(instance, report.state) if as_wanted else TO_DIRECTORY[RunState(report.state)].value
        )
    elif report.state not in set(RunState) or report.regressed_at == now:
        told["state"] = ""
    told["observed_at"] = _since(instance, observed_at, now, told)
    InstanceStatus.objects.filter(instance=instance).update(**told)


def keep_late(
    instance: AgentInstance, state: str, generation: int, now: datetime, observed_at: datetime | None
) -> None:
    """Keep in the history a word that comes after one that was said later, where it says a plausible moment and may be
    believed; once, however often it is sent. What the instance is now stays as it is."""
    if observed_at is None or not _plausible(instance, observed_at, now):
        return
    known = state in set(RunState)
    if known and not credible(state, ""):
        return
    shown, number = TO_DIRECTORY[RunState(state)].value if known else "", min(generation, 2**31 - 1)
    status = InstanceStatus.objects.select_for_update().get(instance=instance)
    kept = Observation.objects.filter(instance=instance, state=shown, generation=number, at=observed_at)
    if not kept.exists():
        note_late(status, shown, number, observed_at, confirmed=status.reported_at)


def _is(instance: AgentInstance, proven: str) -> str:
    """What an instance is that is as wanted, proven by this state of its provider's: what ARM wants of it, though a stop above
    it may make that something severer. But of what drains below a stop it was not said that it drains, on which its
    retirement rests: it is what it was proven to be."""
    drains = instance.state == InstanceState.DRAINING
    return TO_DIRECTORY[RunState(proven)].value if drains else instance.state


def _since(
    instance: AgentInstance, observed_at: datetime | None, now: datetime, told: Mapping[str, Any]
) -> Any:
    """The provider's moment, where it is plausible; else None, which means ARM's. Plausible is what is neither to come, nor
    longer ago than `BACKDATED`, nor before the instance was, nor before the word that this one follows: its words are in
    order by their numbers, whatever its clock says. Repeating a state does not make it begin anew."""
    if observed_at is None or not _plausible(instance, observed_at, now):
        return None
    later = Observation.objects.filter(instance=instance.pk, at__gte=observed_at)
    same = {name: told[name] for name in ("state", "generation") if name in told}
    return Case(
        When(**same, then=F("observed_at")),
        When(Exists(later), then=None),
        default=Value(observed_at),
        output_field=DateTimeField(null=True),
    )


def _plausible(instance: AgentInstance, observed_at: datetime, now: datetime) -> bool:
    return max(instance.created_at, now - BACKDATED) <= observed_at <= now


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
        InstanceStatus.objects.filter(instance=instance).update(state=_is(instance, desired.run_state))
