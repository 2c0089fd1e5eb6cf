"""Rollouts: started, advanced step by step, paused, resumed, aborted; `planning` plans them.

Rows are taken in one order everywhere: rollout, slots by their key, version, instances. Each step is one transaction:
a worker that dies in it has done nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db import transaction

from arm import clock, tasks
from arm.errors import Conflict
from arm.models import User
from arm.permissions import allowed, require
from arm.ports import incidents
from arm.rights import Right

from ..engine import Health, RolloutState, StepState, Strategy, goes_on, may_move
from ..gates.compatibility import drift_of, drift_verdict
from ..models import DeploymentSlot, Environment, Rollout, RolloutStep
from .asking import Duplicate, require_in_person, require_reason
from .binding import ask_gates_of_all, locked_slots, locked_version, refuse_if_held, use
from .handovers import Keep, within_asked
from .locking import locked
from .steps import begin_step, current_step, judged, keep_of, react, take_back, tell, told_of

ROWS = Rollout.objects.select_related("environment", "role", "version__template", "version__genome")


@transaction.atomic
def start_rollout(*, rollout: Rollout, actor: User, reason: str, acknowledged: str = "") -> Rollout:
    """Take the slots and begin the first step. GateRefused names at once every gate that refuses a slot, and every
    breaking drift that nobody has acknowledged; Conflict where another rollout holds a slot."""
    rollout = _taken(rollout, actor, reason, RolloutState.RUNNING)
    if rollout.state != RolloutState.PLANNED:
        raise Conflict(f"{rollout} is {rollout.get_state_display()}; resume it.")
    held = {row.slot_id: row for row in rollout.slots.all()}
    slots = locked_slots(list(held))
    Environment.objects.select_for_update(no_key=True).get(
        pk=rollout.environment_id
    )  # its rules stay meanwhile
    version = locked_version(rollout.version_id)
    for slot in slots:
        refuse_if_held(slot)
        if slot.current_version == version:
            raise Duplicate(f"{slot} is bound to {version} already.", slot)
        if slot.current_version is None and rollout.strategy == Strategy.CANARY:
            raise Conflict(f"{slot} is empty; a canary needs a version beside it. Roll out all at once.")
    rollout.acknowledged = acknowledged.strip() or rollout.acknowledged
    found = drift_of(slots, version)
    verdict = drift_verdict(found, rollout.acknowledged)
    spent = ask_gates_of_all(verdict, slots, version, actor, f"{rollout} does not start")
    links = use(spent, actor, rollout)
    for slot in slots:
        row = held[slot.pk]
        row.held, row.from_version = True, slot.current_version
        row.save(update_fields=["held", "from_version"])
    rollout.state, rollout.state_since = RolloutState.RUNNING, clock.now()
    rollout.drift = [asdict(one) for one in found]
    rollout.save(update_fields=["state", "state_since", "drift", "acknowledged"])
    breaking = [one.sentence for one in found if one.breaking]
    facts = {"exceptions": links, "breaking": breaking, "acknowledged": rollout.acknowledged}
    tell(rollout, "registry.rollout.started", actor, reason, facts, links=links)
    begin_step(rollout, rollout.steps.get(number=1), slots, actor)
    return rollout


@transaction.atomic
def pause_rollout(*, rollout: Rollout, actor: User, reason: str) -> Rollout:
    """Stay where it is: no step follows until somebody resumes it."""
    rollout = _taken(rollout, actor, reason, RolloutState.PAUSED, stopping=True)
    _pause(rollout, actor, reason)
    return rollout


@transaction.atomic
def resume_rollout(*, rollout: Rollout, actor: User, reason: str) -> Rollout:
    """Go on: the step that was paused bakes again from the beginning, and is judged by what happens from now on.
    Conflict while the incident stands that it was stopped with, whatever the reason says."""
    rollout = _taken(rollout, actor, reason, RolloutState.RUNNING)
    if rollout.state != RolloutState.PAUSED:
        raise Conflict(f"{rollout} is {rollout.get_state_display()}; start it.")
    if named := _standing(rollout, hold=True):
        raise Conflict(f"{rollout} was stopped with incident {named}; resolve that before it goes on.")
    step, now = current_step(rollout), clock.now()
    step.started_at, step.due_at = now, now + timedelta(seconds=step.bake_seconds)
    step.health, step.facts, step.judged_at = "", [], None
    step.save(update_fields=["started_at", "due_at", "health", "facts", "judged_at"])
    rollout.state, rollout.state_since, rollout.said = RolloutState.RUNNING, now, ""
    rollout.save(update_fields=["state", "state_since", "said"])
    tell(rollout, "registry.rollout.resumed", actor, reason, told_of(step))
    return rollout


@transaction.atomic
def abort_rollout(*, rollout: Rollout, actor: User, reason: str, drain: str = "") -> Rollout:
    """End it: every slot that it has changed returns to the version it had. `drain`: when the new version's instances
    do; by default as the rollout does it, and at once while the incident stands that it was found unhealthy with."""
    rollout = _taken(rollout, actor, reason, RolloutState.ABORTED, stopping=True)
    keep = None if _standing(rollout) else keep_of(rollout)
    if drain:
        within = within_asked(drain, None)
        keep = (keep_of(rollout) or Keep(rollout=rollout)) if within else None
    slots = locked_slots([row.slot_id for row in rollout.slots.all()])
    take_back(rollout, slots, actor, reason, keep=keep)
    return rollout


@transaction.atomic
def confirm_step(*, rollout: Rollout, step: int, actor: User, reason: str) -> Rollout:
    """A person vouches for a step that has baked and for whose health nobody else does; no token does. `step`: the number
    of the step that she has looked at. Conflict where another one waits by now, before its time, and where a fact speaks
    against it or the incident stands again that the rollout was stopped with."""
    rollout = _taken(rollout, actor, reason, None)
    require_in_person("confirm a step", "on the rollout's page")
    if rollout.state != RolloutState.RUNNING:
        raise Conflict(f"{rollout} is {rollout.get_state_display()}; no step waits for anybody.")
    waiting, now = current_step(rollout), clock.now()
    if step != waiting.number:
        passed = "has passed already" if step < waiting.number else "has not begun"
        said = f"Step {step} of {rollout} {passed}; nothing was confirmed. Step {waiting.number} is the one that waits now:"
        raise Conflict(f"{said} look at that first.", step=waiting.number)
    if named := _standing(rollout):
        raise Conflict(f"{rollout} does not go on: {_reopened(named)}")
    if waiting.due_at is None or waiting.due_at > now:
        raise Conflict(f"Step {step} bakes until {waiting.due_at:%Y-%m-%d %H:%M} UTC.")
    slots = locked_slots([row.slot_id for row in rollout.slots.all()])
    if judged(rollout, waiting, slots) is Health.UNHEALTHY:
        bad = " ".join(fact["sentence"] for fact in waiting.facts if fact["ok"] is False)
        raise Conflict(f"Step {step} is unhealthy: {bad}")
    waiting.confirmed_by = str(actor)[:200]
    _go_on(rollout, waiting, slots, actor, reason)
    return rollout


@transaction.atomic
def advance_rollout(*, rollout_id: Any) -> bool:
    """Judge the step of a running rollout, and go on, wait for a person, or stop. It pauses, too, once the incident is
    reopened that it had been stopped with. Whether anything was written that somebody should hear of. Somebody else at it: nothing; it is theirs. May be repeated."""
    if not Rollout.objects.select_for_update(skip_locked=True).only("pk").filter(pk=rollout_id).exists():
        return False
    rollout = ROWS.get(pk=rollout_id)
    if rollout.state != RolloutState.RUNNING:
        return False
    if named := _standing(rollout):
        _pause(rollout, None, _reopened(named))
        return True
    step = current_step(rollout)
    slots = locked_slots([row.slot_id for row in rollout.slots.all()])
    verdict = judged(rollout, step, slots)
    if verdict is Health.UNHEALTHY:
        react(rollout, step, slots)
        return True
    if step.due_at is None or step.due_at > clock.now():
        return False
    if goes_on(verdict, step.gates):
        return _went_on(rollout, step, slots)
    if rollout.waits_for_person:
        return False
    rollout.waits_for_person = True
    rollout.save(update_fields=["waits_for_person"])
    tasks.announce(
        "registry.rollout.waits",
        tenant_id=rollout.tenant_id,
        rollout_id=str(rollout.pk),
        step=step.number,
    )
    return True


def due_rollouts(tenant_id: Any) -> list[Any]:
    """The running rollouts of a tenant: each is looked at, since an unhealthy one stops before its step has baked."""
    rows = Rollout.objects.filter(tenant=tenant_id, state=RolloutState.RUNNING)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _went_on(rollout: Rollout, step: RolloutStep, slots: Sequence[DeploymentSlot]) -> bool:
    """The next step by the rule. What refuses it pauses the rollout, with nothing of the step done."""
    said = f"Step {step.number} is healthy."
    try:
        with transaction.atomic():
            _go_on(rollout, step, slots, None, said)
    except Conflict as refused:
        rollout.refresh_from_db()
        _pause(rollout, None, str(refused))
    return True


def _pause(rollout: Rollout, actor: User | None, said: str) -> None:
    rollout.state, rollout.state_since, rollout.said = RolloutState.PAUSED, clock.now(), said
    rollout.waits_for_person = False
    rollout.save(update_fields=["state", "state_since", "said", "waits_for_person"])
    tell(rollout, "registry.rollout.paused", actor, said)


def _standing(rollout: Rollout, *, hold: bool = False) -> str:
    """How the incident is named that the rollout was stopped with, while it stands (again)."""
    if rollout.incident_id is None:
        return ""
    return incidents().standing(tenant_id=rollout.tenant_id, incident_id=rollout.incident_id, hold=hold)


def _reopened(named: str) -> str:
    return f"Incident {named}, with which it had been stopped, was reopened."


def _go_on(
    rollout: Rollout,
    step: RolloutStep,
    slots: Sequence[DeploymentSlot],
    actor: User | None,
    reason: str,
) -> None:
    now = clock.now()
    step.state, step.ended_at = StepState.PASSED, now
    step.save(update_fields=["state", "ended_at", "confirmed_by"])
    rollout.waits_for_person = False
    following = rollout.steps.filter(number=step.number + 1).first()
    facts = {**told_of(step), "health": step.health, "confirmed_by": step.confirmed_by}
    if following is None:
        rollout.state, rollout.state_since = RolloutState.COMPLETED, now
        rollout.save(update_fields=["state", "state_since", "waits_for_person"])
        rollout.slots.update(held=False)
        tell(rollout, "registry.rollout.completed", actor, reason, facts)
        return
    rollout.save(update_fields=["waits_for_person"])
    tell(rollout, "registry.rollout.advanced", actor, reason, {**facts, "to": following.number})
    begin_step(rollout, following, slots, actor)


def _taken(
    rollout: Rollout, actor: User, reason: str, to: RolloutState | None, *, stopping: bool = False
) -> Rollout:
    """The rollout for this transaction alone, where the actor may and the state allows it. Stopping and going back
    are also for who may roll back."""
    if not (stopping and allowed(actor, Right.ROLL_BACK_RELEASE, rollout)):
        require(actor, Right.PROMOTE_RELEASE, rollout)
    require_reason(reason)
    rollout = locked(ROWS, rollout.pk)
    if to is not None and not may_move(rollout.state, to):
        raise Conflict(f"{rollout} is {rollout.get_state_display()}; it cannot become {to.label}.")
    return rollout
