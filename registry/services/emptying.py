"""A slot that gives its version up, for a while or for good: what works there drains, and its history stays."""

from django.db import transaction

from arm import changes, clock, tasks
from arm.errors import Conflict
from arm.models import User
from arm.permissions import require
from arm.rights import Right

from ..models import AgentVersion, DeploymentSlot, SlotBinding
from .asking import require_reason
from .binding import as_bound, locked_slot, refuse_if_held
from .handovers import end_all
from .replacing import replace


@transaction.atomic
def empty_slot(*, slot: DeploymentSlot, actor: User, reason: str, close: bool = False) -> DeploymentSlot:
    """Unbind the slot: what works there drains, what waits is withdrawn, what is stopped stays stopped. With `close` it takes no
    version any more.

    Conflict while a rollout holds it, and where there is nothing to do. Recorded with how many of what.
    """
    require(actor, Right.PROMOTE_RELEASE, slot)
    require_reason(reason)
    slot = locked_slot(slot.pk)
    refuse_if_held(slot)
    if slot.closed_at is not None:
        raise Conflict(f"{slot} is closed already.")
    if slot.current_version_id is None and not close:
        raise Conflict(f"{slot} is empty.")
    now, left = clock.now(), slot.current_version
    before = as_bound(slot)
    drained = end_all(slot, actor, reason)
    there = slot.instances.live().exclude(version=None).values_list("version", flat=True)
    replaced = [
        replace(slot, version, None, actor, reason)
        for version in AgentVersion.objects.filter(pk__in=set(there)).order_by("pk")
    ]
    slot.current_version = slot.previous_version = slot.canary_version = None
    slot.canary_share = 0
    slot.generation += 1
    slot.closed_at = now if close else None
    slot.save()
    SlotBinding.objects.filter(slot=slot, until=None).update(until=now)
    after = {
        **as_bound(slot),
        "since": clock.exactly(now),
        "drained": drained + sum(one.drained for one in replaced),
        "withdrawn": sum(one.withdrawn for one in replaced),
        "left": sum(one.left for one in replaced),
        "closed": close,
    }
    verb = "registry.slot.closed" if close else "registry.slot.emptied"
    links = [left.typeid] if left else []
    record = changes.record(actor, verb, slot, before=before, after=after, reason=reason, links=links)
    tasks.announce(verb, tenant_id=slot.tenant_id, slot_id=str(slot.pk), change_id=str(record.pk))
    return slot
