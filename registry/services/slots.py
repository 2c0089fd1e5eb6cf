"""Deployment slots: what is meant to work where, and which version does."""

from typing import Any

from django.db import transaction
from django.db.models import Max

from arm import changes
from arm.errors import Conflict
from arm.models import User
from arm.permissions import require
from arm.rights import Right

from .. import gates
from ..gates.compatibility import breaking, drift_of, drift_verdict
from ..gates.open_places import why_not_at
from ..models import AgentVersion, DeploymentSlot, Environment, Provider, RoleDefinition
from .asking import Duplicate, require_on_any, require_reason, require_same_tenant
from .binding import ask_gates_and, locked_slot, locked_version, rebind, refuse_if_held, tell_bound, use
from .meanwhile import tell_changed


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
    if refused := why_not_at(provider):
        raise Conflict(refused)
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
def bind_slot(
    *,
    slot: DeploymentSlot,
    version: AgentVersion,
    actor: User,
    reason: str,
    acknowledged: str = "",
    seen: str | None = None,
) -> DeploymentSlot:
    """Bind a slot to a version at once, or rebind it: what it was bound to becomes its previous version, if it could go back
    to that. What a slot has from a rollout that was aborted may be bound again: then a person stands for it.

    GateRefused names everything that stands in the way and that no exception covers, and what would break for callers
    and tools of the version that is bound, unless `acknowledged` says why that is accepted; Duplicate where it is bound to
    this version already, Conflict while a rollout holds the slot. `seen`: the identifier of the version that the editor saw
    it bound to, or "" for none; ChangedMeanwhile where it is another by now.
    """
    require(actor, Right.PROMOTE_RELEASE, slot)
    require_reason(reason)
    require_same_tenant(slot=slot, version=version)
    slot, version = locked_slot(slot.pk), locked_version(version.pk)
    refuse_if_held(slot)
    if seen is not None and seen != (slot.current_version.typeid if slot.current_version else ""):
        tell_changed({"version": slot.current_version})
    kept = slot.bindings.kept().filter(version=version).exists()
    if slot.current_version == version and not kept:
        raise Duplicate(f"{slot} is bound to {version} already.", slot)
    found = drift_of([slot], version)
    verdict = drift_verdict(found, acknowledged)
    needed = ask_gates_and(verdict, slot, version, actor)
    gates.refuse_unless_passed([verdict], f"{slot} is not bound to {version}")
    spent = use(needed, actor)
    previous = slot.previous_version if kept else slot.left_for(version)
    before = rebind(slot, version, actor, reason, previous=previous, again=kept)
    facts: dict[str, Any] = {"exceptions": spent} if spent else {}
    if broken := breaking(found):
        facts |= {"breaking": broken, "acknowledged": acknowledged.strip()}
    tell_bound("registry.slot.bound", slot, before, actor, reason, facts, links=spent)
    return slot
