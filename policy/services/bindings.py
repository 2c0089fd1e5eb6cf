"""Where policies hold: bind and unbind."""

from django.db import transaction

from arm import changes, clock, tasks
from arm.errors import Conflict, Invalid, NotAllowed, Problem
from arm.models import ChangeRecord, Tenant, TenantRow, User
from arm.permissions import require
from arm.queries import single_handed
from arm.rights import Right
from registry.services.asking import Duplicate, require_reason
from registry.services.locking import locked

from ..models import Binding, Policy


@transaction.atomic
def bind_policy(*, policy: Policy, target: Tenant | TenantRow, actor: User, reason: str) -> Binding:
    """Let a policy hold for a target: tenant, environment, role, template, version, slot or instance.

    It can only tighten what already holds there. Conflict while none of its versions is active.
    """
    require(actor, Right.BIND_POLICY, target)
    require_reason(reason)
    try:
        members = Binding.members_for(target)
    except LookupError as problem:
        sentence = f"A policy cannot be bound here: {problem}."
        raise Invalid(sentence, [Problem(pointer="/target", code="choice", message=sentence)]) from problem
    policy = Policy.objects.select_for_update().get(pk=policy.pk)
    if not policy.versions.active().exists():
        raise Conflict(f"{policy} has no active version yet; activate one first.")
    if taken := Binding.objects.in_force().filter(policy=policy, **members).first():
        raise Duplicate(f"{policy} already holds for {target}.", taken)
    binding = Binding.objects.create(
        tenant_id=policy.tenant_id, policy=policy, bound_by=actor, reason=reason, **members
    )
    after = {
        "policy": policy.typeid,
        "target": str(target),
        "target_id": target.slug if isinstance(target, Tenant) else target.typeid,  # a name may be of two
        "kind": binding.target_kind,
    }
    _tell(changes.record(actor, "policy.binding.created", binding, after=after, reason=reason), binding)
    return binding


@transaction.atomic
def unbind_policy(*, binding: Binding, actor: User, reason: str) -> Binding:
    """End a binding. That loosens, so it is an approver's decision, and not of who bound it."""
    require(actor, Right.ACTIVATE_POLICY, binding)
    require_reason(reason)
    binding = locked(Binding.objects.select_related("policy"), binding.pk)
    if binding.until is not None:
        raise Conflict("This binding has already ended.")
    after = {}
    if binding.bound_by_id == actor.pk:
        if not single_handed(binding.tenant_id):
            raise NotAllowed("Who bound a policy does not unbind it alone; ask another approver.")
        after = {"sod_mode": "reduced"}
    binding.until, binding.ended_by = clock.now(), actor
    binding.save(update_fields=["until", "ended_by"])
    before = {"policy": binding.policy.typeid, "target": str(binding.target)}
    record = changes.record(actor, "policy.binding.ended", binding, before=before, after=after, reason=reason)
    _tell(record, binding)
    return binding


def _tell(record: ChangeRecord, binding: Binding) -> None:
    """For whom a binding changes what may be done: candidates are asked anew."""
    tasks.announce(
        record.verb,
        tenant_id=binding.tenant_id,
        binding_id=str(binding.pk),
        change_id=str(record.pk),
    )
