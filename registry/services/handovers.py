"""Capacity kept: a slot's old instances drain as those that replace them come to work, or when time is up.

The slot is locked first, as by everything that rebinds it. Repeated or interrupted, each look goes on where things are.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet, Subquery

from arm import changes, clock, ids
from arm.errors import Conflict
from arm.models import User
from arm.permissions import allowed, require
from arm.ports import incidents
from arm.rights import Right

from ..engine import LONGEST, SHORTEST, WITHIN, Drain, HandoverEnd, leaving_now
from ..lifecycle import InstanceState
from ..models import AgentInstance, AgentVersion, DeploymentSlot, Handover, Rollback, Rollout, SlotBinding
from .asking import refuse, require_reason
from .instances import RESTRICTED
from .locking import locked
from .moving import move_all

SLOTS = DeploymentSlot.objects.select_related("environment", "role", "provider", "current_version__template")


@dataclass(frozen=True, slots=True)
class Keep:
    """That what a slot leaves works on until it is replaced, how long at most, and what it is part of."""

    within: timedelta = WITHIN
    rollout: Rollout | None = None
    rollback: UUID | None = None


def within_asked(drain: str, within: timedelta | None, pointer: str = "/within") -> timedelta | None:
    """How long the old ones may work on, as a request says it; None: they drain at once. Invalid names what is wrong."""
    if drain not in Drain.values:
        refuse("/drain", "enum", f"Must be one of {', '.join(Drain.values)}.")
    if drain == Drain.AT_ONCE:
        if within is not None:
            refuse(pointer, "unused", "What drains at once is given no time.")
        return None
    chosen = WITHIN if within is None else within
    if not SHORTEST <= chosen <= LONGEST:
        refuse(pointer, "range", "Between one minute and 24 hours.")
    return chosen


def open_handover(
    slot: DeploymentSlot, leaving: AgentVersion, at_work: int, keep: Keep, actor: User | None, reason: str
) -> Handover:
    """What runs `leaving` in the locked slot works on from now. Of handovers that are under way, the most that was
    wanted goes on being wanted."""
    rebound = SlotBinding.objects.filter(slot=slot, until=None).values("since")
    kept = Q(outcome=HandoverEnd.KEPT, version=slot.current_version, ended_at__gte=Subquery(rebound[:1]))
    rows = Handover.objects.filter(Q(ended_at=None) | kept, slot=slot)  # or that this binding has just ended
    held = rows.values_list("wanted", flat=True)
    now = clock.now()
    return Handover.objects.create(
        tenant_id=slot.tenant_id,
        slot=slot,
        version=leaving,
        wanted=max([at_work, *held]),
        since=now,
        until=now + keep.within,
        rollout=keep.rollout,
        rollback_id=keep.rollback,
        actor=actor,
        actor_label=str(actor or "ARM")[:200],
        reason=reason,
    )


def keep_on(slot: DeploymentSlot, version: AgentVersion) -> None:
    """The locked slot takes this version back: what runs it leaves no more."""
    for handover in Handover.objects.open().filter(slot=slot, version=version):
        _end(handover, HandoverEnd.KEPT, None, f"{slot} is bound to {version} again.")


def settle(slot: DeploymentSlot) -> dict[UUID, int]:
    """Drain as many of the locked slot's old instances as are replaced by now, and all of those whose time is up.
    Returns how many of each version drained."""
    held = list(Handover.objects.open().filter(slot=slot).select_related("version").order_by("pk"))
    if not held:
        return {}
    replaced = _at_work(slot, slot.current_version_id).count()
    rows = {one.pk: list(_at_work(slot, one.version_id).select_for_update().order_by("pk")) for one in held}
    wanted = max(one.wanted for one in held)
    now = clock.now()
    numbers = leaving_now([(len(rows[one.pk]), one.until <= now) for one in held], replaced, wanted)
    for handover, number in zip(held, numbers, strict=True):
        at_work, late = rows[handover.pk], handover.until <= now
        said = f"{replaced} of {wanted} replacements are at work."
        why = f"Time was up: {said}" if late else said
        move_all(at_work[:number], InstanceState.DRAINING, RESTRICTED, None, f"{handover.reason} ({why})")
        if number or handover.at_work != replaced:
            handover.drained, handover.at_work = handover.drained + number, replaced
            handover.save(update_fields=["drained", "at_work"])
        if number < len(at_work):
            continue
        if late and number and replaced < wanted:
            _end(handover, HandoverEnd.TIME_UP, None, why)
            _say_short(slot, handover, said)
        elif number or replaced >= wanted:
            _end(handover, HandoverEnd.REPLACED, None, why)
        else:
            _end(handover, HandoverEnd.GONE, None, "None of them is at work any more.")
    return {one.version_id: number for one, number in zip(held, numbers, strict=True)}


@transaction.atomic
def settle_slot(*, slot_id: UUID) -> int:
    """`settle` for the worker. A slot that somebody else is at is left to them: the next look is soon."""
    taken = DeploymentSlot.objects.select_for_update(skip_locked=True).only("pk").filter(pk=slot_id)
    return sum(settle(SLOTS.get(pk=slot_id)).values()) if taken.exists() else 0


def slots_handing_over(tenant_id: UUID) -> list[UUID]:
    """The slots of a tenant in which something works on until it is replaced."""
    held = Handover.objects.open().filter(tenant=tenant_id).order_by("slot")
    return list(held.values_list("slot", flat=True).distinct())


@transaction.atomic
def drain_at_once(*, slot: DeploymentSlot, actor: User, reason: str) -> int:
    """End the handovers of the slot: what still works on drains now, replaced or not. Returns how many drained.

    For whoever may roll back or promote there. Conflict where nothing works on.
    """
    if not allowed(actor, Right.ROLL_BACK_RELEASE, slot):
        require(actor, Right.PROMOTE_RELEASE, slot)
    require_reason(reason)
    slot = locked(SLOTS, slot.pk)
    if not Handover.objects.open().filter(slot=slot).exists():
        raise Conflict(f"Nothing in {slot} works on until it is replaced.")
    return end_all(slot, actor, reason)


def end_all(slot: DeploymentSlot, actor: User | None, reason: str) -> int:
    """The locked slot gives everything up: what works on until it is replaced drains now. Returns how many drained."""
    drained = 0
    for handover in Handover.objects.open().filter(slot=slot).select_related("version").order_by("pk"):
        rows = list(_at_work(slot, handover.version_id).select_for_update().order_by("pk"))
        move_all(rows, InstanceState.DRAINING, RESTRICTED, actor, reason)
        handover.drained += len(rows)
        handover.at_work = _at_work(slot, slot.current_version_id).count()
        handover.save(update_fields=["drained", "at_work"])
        _end(handover, HandoverEnd.AT_ONCE, actor, reason)
        drained += len(rows)
    return drained


def _at_work(slot: DeploymentSlot, version_id: UUID | None) -> QuerySet[AgentInstance]:
    return AgentInstance.objects.filter(slot=slot, version=version_id, state=InstanceState.ACTIVE)


def _end(handover: Handover, outcome: HandoverEnd, actor: User | None, reason: str) -> None:
    handover.ended_at, handover.outcome = clock.now(), outcome
    handover.save(update_fields=["ended_at", "outcome"])
    rollout, rollback = handover.rollout_id, handover.rollback_id  # whose row may come after this one
    part_of = [
        *([ids.encode(Rollout.prefix, rollout)] if rollout else []),
        *([ids.encode(Rollback.prefix, rollback)] if rollback else []),
    ]
    after: dict[str, Any] = {
        "outcome": outcome,
        "wanted": handover.wanted,
        "at_work": handover.at_work,
        "drained": handover.drained,
    }
    links = [handover.slot.typeid, handover.version.typeid, *part_of]
    changes.record(actor, "registry.handover.ended", handover, after=after, reason=reason, links=links)


def _say_short(slot: DeploymentSlot, handover: Handover, said: str) -> None:
    """The slot has fewer at work than it had: somebody must look."""
    version = slot.current_version
    assert version is not None
    incidents().open(
        tenant_id=slot.tenant_id,
        kind="outage",
        severity="s2",
        title=f"{slot} has fewer at work: time to replace {handover.version} was up"[:200],
        subject_kind=AgentVersion._meta.label_lower,
        subject_id=version.pk,
        facts={"slot": slot.typeid, "handover": handover.typeid, "said": said},
        again=True,
    )
