"""Rollouts are planned: which slots, in which steps, and what each step waits for before the next one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta

from django.db import transaction

from arm.errors import Invalid
from arm.models import User
from arm.permissions import require
from arm.rights import Right

from .. import facts as health
from ..engine import (
    BAKE_AT_MOST,
    LIMITS,
    Drain,
    StepSays,
    Strategy,
    Terms,
    batches,
    plan,
    terms_of,
    wrong_limit,
    wrong_with,
)
from ..genome import pointer
from ..models import AgentVersion, DeploymentSlot, Rollout, RolloutSlot, RolloutStep
from .asking import refuse, require_reason, require_same_tenant
from .handovers import within_asked
from .steps import tell, told_of


@transaction.atomic
def plan_rollout(
    *,
    slots: Sequence[DeploymentSlot],
    version: AgentVersion,
    strategy: str,
    actor: User,
    reason: str,
    percents: Sequence[int] = (),
    batch_size: int = 1,
    bake: timedelta = timedelta(minutes=10),
    health_gates: Sequence[str] = (),
    limits: Mapping[str, float] | None = None,
    reaction: str = Rollout.Reaction.PAUSE,
    acknowledged: str = "",
    drain: str = Drain.REPLACED,
    within: timedelta | None = None,
    steps: Sequence[StepSays] = (),
) -> Rollout:
    """A rollout in Planned: nothing is asked of the gates and nothing changes before it starts.

    `slots` are of one role in one environment. `percents` are the steps of a canary, `batch_size` the slots of each
    step of a phased one. `bake`, `health_gates` and `limits` say what each step waits for: how long, whose word, and
    within which limits; without a gate, or with “manual”, a person confirms it. `steps` says otherwise of single steps,
    the first one first. What a step waits for is kept with it and never changes. `drain` and `within`: whether, and how
    long at most, what a slot leaves works on until as many are at work.

    Invalid names at once whatever is wrong with `steps`, by pointers such as `/steps/2/bake_seconds`.
    """
    if not slots:
        refuse("/slots", "required", "Name at least one slot.")
    slots = sorted({slot.pk: slot for slot in slots}.values(), key=lambda slot: slot.pk)
    first = slots[0]
    require(actor, Right.PROMOTE_RELEASE, first.environment)
    require_reason(reason)
    require_same_tenant(version=version, **{f"slots/{n}": slot for n, slot in enumerate(slots)})
    if any((slot.environment_id, slot.role_id) != (first.environment_id, first.role_id) for slot in slots):
        refuse("/slots", "place", "The slots of a rollout are of one role in one environment.")
    if strategy not in Strategy.values:
        refuse("/strategy", "enum", f"Must be one of {', '.join(Strategy.values)}.")
    if reaction not in Rollout.Reaction.values:
        refuse("/reaction", "enum", f"Must be one of {', '.join(Rollout.Reaction.values)}.")
    if not timedelta() <= bake <= BAKE_AT_MOST:
        refuse("/bake", "range", f"Between nothing and {BAKE_AT_MOST.days} days.")
    handover = within_asked(drain, within)
    known = health.known_gates()
    if strange := [name for name in health_gates if name not in known]:
        refuse(
            "/health_gates", "enum", f"Nobody answers for {', '.join(strange)}; known: {', '.join(known)}."
        )
    for name, value in (limits or {}).items():
        if said := wrong_limit(name, value):
            refuse(pointer(("limits", name)), "range", said)
    try:
        planned = plan(strategy, percents=percents, batch_size=batch_size, slots=len(slots))
    except ValueError as wrong:
        refuse("/percents" if strategy == Strategy.CANARY else "/batch_size", "plan", str(wrong))
    usual = Terms(int(bake.total_seconds()), tuple(dict.fromkeys(health_gates)), {**LIMITS, **(limits or {})})
    if problems := wrong_with(steps, usual, planned=len(planned), known=known):
        raise Invalid(" ".join(problem["message"] for problem in problems), problems)
    made = Rollout.objects.create(
        tenant_id=first.tenant_id,
        environment=first.environment,
        role=first.role,
        version=version,
        strategy=strategy,
        gates=list(usual.gates),
        limits=usual.limits,
        reaction=reaction,
        handover_seconds=int(handover.total_seconds()) if handover else 0,
        acknowledged=acknowledged.strip(),
        reason=reason,
        created_by=actor,
    )
    says = [*steps, *[StepSays()] * (len(planned) - len(steps))]
    rows = [
        RolloutStep(
            tenant_id=first.tenant_id,
            rollout=made,
            number=number,
            percent=step.percent,
            batch=step.batch,
            bake_seconds=terms.bake_seconds,
            gates=list(terms.gates),
            limits=terms.limits,
        )
        for number, (step, terms) in enumerate(
            zip(planned, (terms_of(usual, one) for one in says), strict=True), 1
        )
    ]
    RolloutStep.objects.bulk_create(rows)
    size = batch_size if strategy == Strategy.PHASED else len(slots)
    RolloutSlot.objects.bulk_create(
        RolloutSlot(tenant_id=first.tenant_id, rollout=made, slot=slot, batch=number)
        for number, batch in enumerate(batches(slots, size), 1)
        for slot in batch
    )
    tell(
        made,
        "registry.rollout.planned",
        actor,
        reason,
        {
            "version": version.typeid,
            "strategy": strategy,
            "slots": [slot.typeid for slot in slots],
            "steps": [
                {**asdict(step), **(told_of(row) if row.terms != usual else {})}
                for step, row in zip(planned, rows, strict=True)
            ],
            "bake_seconds": usual.bake_seconds,
            "gates": made.gates,
            "limits": {gate: usual.limits[gate] for gate in usual.gates if gate in usual.limits},
        },
    )
    return made
