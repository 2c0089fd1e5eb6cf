"""Deployment slots: what is meant to work where, and which version does."""

from django.db import transaction
from django.db.models import Max

from arm import changes, clock, tasks
from arm.errors import Conflict
from arm.models import User
from arm.permissions import require
from arm.rights import Right

from .. import gates
from ..models import AgentVersion, DeploymentSlot, Environment, Provider, RoleDefinition, SlotBinding
from .asking import Duplicate, require_on_any, require_reason, require_same_tenant
from .locking import locked


@transaction.atomic
def create_slot(
    *,
    environment: Environment,
    role: RoleDefinition,
    provider: Provider,
    actor: User,
    reason: str,
    ordinal: int | None = None,
) -> DeploymentSlot:
    """An empty place for a version. Without an ordinal, the next free one; Duplicate for a taken one."""
    require_on_any(actor, Right.PROMOTE_RELEASE, environment, provider)
    require_reason(reason)
    require_same_tenant(environment=environment, role=role, provider=provider)
    Environment.objects.select_for_update().get(pk=environment.pk)  # ordinals are given one at a time
    held = DeploymentSlot.objects.filter(environment=environment, role=role, provider=provider)
    number = ordinal or (held.aggregate(last=Max("ordinal"))["last"] or 0) + 1
    if taken := held.filter(ordinal=number).first():
        raise Duplicate(f"There is already a slot {taken}.", taken)
    slot = DeploymentSlot.objects.create(
        tenant_id=environment.tenant_id, environment=environment, role=role, provider=provider, ordinal=number
    )
    after = {"environment": environment.slug, "role": role.slug, "provider": provider.slug, "ordinal": number}
    changes.record(actor, "registry.slot.created", slot, after=after, reason=reason)
    return slot


@transaction.atomic
def bind_slot(*, slot: DeploymentSlot, version: AgentVersion, actor: User, reason: str) -> DeploymentSlot:
    """Bind a slot to a version, or rebind it: what it was bound to becomes its previous version.

    GateRefused names everything that stands in the way; Duplicate where it is bound to this version already.
    """
    require(actor, Right.PROMOTE_RELEASE, slot)
    require_reason(reason)
    require_same_tenant(slot=slot, version=version)
    return _bind(_locked(slot), version, actor, reason, "registry.slot.bound")


@transaction.atomic
def roll_back_slot(
    *, slot: DeploymentSlot, actor: User, reason: str, leaving: AgentVersion | None = None
) -> DeploymentSlot:
    """Bind the slot to its previous version again. Running instances stay as they are.

    Conflict where there is none to go back to, or where the slot is no longer bound to `leaving`; the gates of a
    binding are asked again, since what was fit to run then may not be now.
    """
    require(actor, Right.ROLL_BACK_RELEASE, slot)
    require_reason(reason)
    slot = _locked(slot)
    if leaving is not None and slot.current_version != leaving:
        raise Conflict(f"{slot} is bound to {slot.current_version or 'nothing'} by now, not to {leaving}.")
    if slot.previous_version is None:
        raise Conflict(f"{slot} has no previous version to go back to.")
    return _bind(slot, slot.previous_version, actor, reason, "registry.slot.rolled_back")


def _locked(slot: DeploymentSlot) -> DeploymentSlot:
    rows = DeploymentSlot.objects.select_related(
        "environment", "role", "provider", "current_version__template"
    )
    return locked(rows, slot.pk)


def _bind(slot: DeploymentSlot, version: AgentVersion, actor: User, reason: str, verb: str) -> DeploymentSlot:
    """The locked slot bound to the version, its history and its record."""
    version = AgentVersion.objects.select_related("template", "genome").get(pk=version.pk)
    left = slot.current_version
    if left == version:
        raise Duplicate(f"{slot} is bound to {version} already.", slot)
    gates.refuse_unless_passed(gates.for_binding(slot, version), f"{slot} is not bound to {version}")
    now = clock.now()
    before = {"version": left.typeid if left else "", "generation": slot.generation}
    slot.previous_version, slot.current_version = left, version
    slot.generation += 1
    slot.save(update_fields=["previous_version", "current_version", "generation"])
    SlotBinding.objects.filter(slot=slot, until=None).update(until=now)
    SlotBinding.objects.create(
        tenant_id=slot.tenant_id,
        slot=slot,
        version=version,
        since=now,
        actor_label=str(actor)[:200],
        reason=reason,
    )
    after = {"version": version.typeid, "genome": version.genome.digest, "generation": slot.generation}
    record = changes.record(actor, verb, slot, before=before, after=after, reason=reason)
    tasks.announce(
        record.verb,
        tenant_id=slot.tenant_id,
        slot_id=str(slot.pk),
        version_id=str(version.pk),
        change_id=str(record.pk),
    )
    return slot
