"""What a step of a rollout does to its slots, how its health is judged, and how all of it is taken back."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from math import ceil
from typing import Any
from uuid import UUID

from arm import changes, clock, tasks
from arm.models import User
from arm.ports import incidents

from .. import facts as health
from ..engine import Health, RolloutState, StepState, judge
from ..gates.returning import warnings_of
from ..lifecycle import InstanceState
from ..models import AgentInstance, AgentVersion, DeploymentSlot, Rollout, RolloutSlot, RolloutStep
from ..queries.replacing import were_leaving
from ..queries.rollbacks import Ended, returns_to
from .binding import ask_gates, locked_version, locked_versions, rebind, tell_bound, use, whole_version
from .handovers import Keep, keep_on
from .lifecycles import give_time
from .replacing import provision_like, replace


def current_step(rollout: Rollout) -> RolloutStep:
    """The step that bakes; a rollout that runs or is paused has exactly one."""
    return rollout.steps.get(state=StepState.BAKING)


def begin_step(
    rollout: Rollout, step: RolloutStep, slots: Sequence[DeploymentSlot], actor: User | None
) -> None:
    """Let the step take hold of its slots (locked), and bake from now on."""
    now = clock.now()
    step.state, step.started_at = StepState.BAKING, now
    step.due_at = now + timedelta(seconds=step.bake_seconds)
    step.save(update_fields=["state", "started_at", "due_at"])
    version = locked_version(rollout.version_id)
    of_batch = {row.slot_id: row for row in rollout.slots.all() if row.batch == step.batch}
    for slot in slots:
        if slot.pk not in of_batch:
            continue
        if step.percent < 100:
            _share(slot, version, step, rollout, actor)
        else:
            _bind(slot, version, rollout, of_batch[slot.pk], step, actor)


def _share(
    slot: DeploymentSlot, version: AgentVersion, step: RolloutStep, rollout: Rollout, actor: User | None
) -> None:
    """A share of the keys gets the version, and as large a share of instances beside those that run. The gates are asked
    at each step: what was fit when the rollout began may not be by now."""
    spent = use(ask_gates(slot, version, actor, rollout=rollout), actor, rollout)
    before = {"canary": slot.canary_version.typeid if slot.canary_version else "", "share": slot.canary_share}
    keep_on(slot, version)
    slot.canary_version, slot.canary_share = version, step.percent
    slot.save(update_fields=["canary_version", "canary_share"])
    reason = f"{rollout.reason} (step {step.number}, {step.percent} %)"
    stable = list(
        AgentInstance.objects.filter(
            slot=slot, version=slot.current_version, state=InstanceState.ACTIVE
        ).order_by("pk")
    )
    there, wanted = _canaries(slot, version), ceil(len(stable) * step.percent / 100)
    like = stable[there:wanted]  # the canaries that are there are like those before
    carried = provision_like(slot, version, like, actor, reason)
    after: dict[str, Any] = {"canary": version.typeid, "share": step.percent, "provisioned": len(like)}
    if carried:
        after["carried"] = dict(Counter(one.kind for one in carried))
    changes.record(
        actor,
        "registry.slot.canary_set",
        slot,
        before=before,
        after=after,
        reason=reason,
        links=[rollout.typeid, *spent],
    )


def _canaries(slot: DeploymentSlot, version: AgentVersion) -> int:
    ending = [InstanceState.RETIRED, InstanceState.DRAINING]
    return AgentInstance.objects.filter(slot=slot, version=version).exclude(state__in=ending).count()


def _bind(
    slot: DeploymentSlot,
    version: AgentVersion,
    rollout: Rollout,
    row: RolloutSlot,
    step: RolloutStep,
    actor: User | None,
) -> None:
    """The gates are asked again: what was fit when the rollout began may not be by now."""
    spent = use(ask_gates(slot, version, actor, rollout=rollout), actor, rollout)
    left, reason = slot.current_version, f"{rollout.reason} (step {step.number})"
    previous = slot.left_for(version)
    row.bound_at = clock.now()
    row.save(update_fields=["bound_at"])
    before = rebind(slot, version, actor, reason, previous=previous, rollout=rollout)
    moved = replace(slot, left, version, actor, reason, keep=keep_of(rollout))
    facts = {"rollout": rollout.typeid, **moved.facts()}
    tell_bound("registry.slot.bound", slot, before, actor, reason, facts, links=[rollout.typeid, *spent])


def told_of(step: RolloutStep) -> dict[str, Any]:
    """What a step waits for, as records and dossiers say it: only the limits that its gates have."""
    limits = {gate: step.limits[gate] for gate in step.gates if gate in step.limits}
    return {
        "step": step.number,
        "bake_seconds": step.bake_seconds,
        "gates": list(step.gates),
        "limits": limits,
    }


def keep_of(rollout: Rollout) -> Keep | None:
    """Whether, and how long, what a slot of the rollout leaves works on until it is replaced."""
    seconds = rollout.handover_seconds
    return Keep(within=timedelta(seconds=seconds), rollout=rollout) if seconds else None


def judged(rollout: Rollout, step: RolloutStep, slots: Sequence[DeploymentSlot]) -> Health:
    """What the health gates of the step say of the slots that have the version, kept with the step."""
    concerned = [row for row in rollout.slots.all() if row.batch <= step.batch]
    reached = [slot for slot in slots if slot.pk in {row.slot_id for row in concerned}]
    against = next((row.from_version for row in concerned if row.from_version is not None), None)
    found = health.health_facts(
        version=rollout.version,
        slots=reached,
        since=step.started_at or clock.now(),
        against=against,
        limits=step.limits,
        wanted=step.gates,
    )
    verdict = judge(found, step.gates)
    step.health, step.facts, step.judged_at = verdict, [asdict(fact) for fact in found], clock.now()
    step.save(update_fields=["health", "facts", "judged_at"])
    return verdict


def react(rollout: Rollout, step: RolloutStep, slots: Sequence[DeploymentSlot]) -> None:
    """The step is unhealthy: stop as the rollout was told to, and open an incident."""
    bad = [fact for fact in step.facts if fact["ok"] is False]
    said = f"Step {step.number} is unhealthy: " + " ".join(fact["sentence"] for fact in bad)
    dear = all(fact["name"] == "cost" for fact in bad)  # nothing else speaks against it
    rollout.incident_id = incidents().open(
        tenant_id=rollout.tenant_id,
        kind="cost_overrun" if dear else "quality_regression",
        severity="s2",
        title=f"Rollout of {rollout} is unhealthy"[:200],
        subject_kind=AgentVersion._meta.label_lower,
        subject_id=rollout.version_id,
        facts={"rollout": rollout.typeid, "step": step.number, "said": said},
        harm=not dear,
        again=True,
    )
    if rollout.reaction == Rollout.Reaction.ABORT:
        rollout.save(update_fields=["incident_id"])
        take_back(rollout, slots, None, said)
        return
    rollout.state, rollout.state_since, rollout.said = RolloutState.PAUSED, clock.now(), said
    rollout.waits_for_person = False
    rollout.save(update_fields=["incident_id", "state", "state_since", "said", "waits_for_person"])
    tell(
        rollout,
        "registry.rollout.paused",
        None,
        said,
        {**told_of(step), "incident": str(rollout.incident_id)},
    )


def take_back(
    rollout: Rollout,
    slots: Sequence[DeploymentSlot],
    actor: User | None,
    reason: str,
    *,
    without: Collection[UUID] = (),
    keep: Keep | None = None,
) -> Ended:
    """Abort: every slot returns to the version it had, and what ran the new one drains, with `keep` as it is replaced.
    `without`: slots that the caller rebinds itself in this transaction; it replaces the instances of their canary, too."""
    version, was = whole_version(rollout.version_id), rollout.state
    ended = Ended(rollout, was)
    leaving = were_leaving(rollout, [slot.pk for slot in slots])
    rows = {row.slot_id: row for row in rollout.slots.filter(held=True)}
    going = [row.from_version_id for row in rows.values() if row.slot_id not in without]
    returning = locked_versions(pk for pk in going if pk is not None)
    returned, keeps = [], []
    unfit: dict[AgentVersion, list[str]] = {}
    rollout.slots.update(held=False)
    for slot in slots:
        row = rows.get(slot.pk)
        if row is None:
            continue
        if slot.canary_version_id == version.pk:
            share = slot.canary_share
            slot.canary_version, slot.canary_share = None, 0
            slot.save(update_fields=["canary_version", "canary_share"])
            if slot.pk not in without:
                # what held the slot's work until it is replaced does so again; else canaries work on where others are fewer
                kept = Keep(rollout=rollout) if slot.pk in leaving else keep
                current = whole_version(slot.current_version_id) if kept and slot.current_version_id else None
                moved = replace(slot, version, current, actor, reason, keep=kept)
                ended.canary(slot.typeid, share, moved)
            returned.append(slot.typeid)
        elif slot.pk not in without and (goes_to := returns_to(row, slot)):
            had = returning[goes_to]
            before = rebind(
                slot, had, actor, reason, previous=slot.before(had), rollout=rollout, returned=True
            )
            moved = replace(slot, version, had, actor, reason, keep=keep)
            facts = {"rollout": rollout.typeid, **moved.facts()}
            if warnings := warnings_of(slot, had):
                facts["warnings"] = warnings
            tell_bound("registry.slot.returned", slot, before, actor, reason, facts, links=[rollout.typeid])
            returned.append(slot.typeid)
            ended.returned(slot.typeid, had.typeid, moved)
            if had.ending:
                unfit.setdefault(had, []).append(f"{slot}: {had} is {had.why_ending}")
        elif slot.pk not in without and slot.current_version_id == version.pk:
            keeps.append(slot.typeid)  # it was empty before: a person decides what comes of it
    # about what the slots are back at; the version that was aborted is not judged
    for had, places in sorted(unfit.items(), key=lambda one: one[0].pk):
        why = f"The abort of {rollout} has brought it back."
        give_time(had, why, [rollout.typeid])
        incidents().open(
            tenant_id=rollout.tenant_id,
            kind="quality_regression",
            severity="s2",
            title=f"{rollout} was aborted, back to {had}, which is no longer approved"[:200],
            subject_kind=AgentVersion._meta.label_lower,
            subject_id=had.pk,
            facts={"rollout": rollout.typeid, "slots": places},
            again=True,
        )
    rollout.steps.filter(state=StepState.BAKING).update(state=StepState.STOPPED, ended_at=clock.now())
    rollout.state, rollout.state_since, rollout.said = RolloutState.ABORTED, clock.now(), reason
    rollout.waits_for_person = False
    rollout.save(update_fields=["state", "state_since", "said", "waits_for_person"])
    unfit_said = [said for places in unfit.values() for said in places]
    more = {name: value for name, value in (("kept", keeps), ("unfit", unfit_said)) if value}
    tell(rollout, "registry.rollout.aborted", actor, reason, {"returned": returned, **more})
    ended.keeps += keeps
    return ended


def tell(
    rollout: Rollout,
    verb: str,
    actor: User | None,
    reason: str,
    facts: Mapping[str, Any] | None = None,
    *,
    links: Sequence[str] = (),
) -> None:
    """The record of what was done to a rollout, and the news of it."""
    after = {"state": rollout.state, **(facts or {})}
    record = changes.record(actor, verb, rollout, after=after, reason=reason, links=links)
    tasks.announce(
        verb,
        tenant_id=rollout.tenant_id,
        rollout_id=str(rollout.pk),
        change_id=str(record.pk),
        state=rollout.state,
    )
