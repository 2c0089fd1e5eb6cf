"""What replaces others begins to work by itself: as soon as its telemetry is seen and no gate misses anything.

Who started the rollout or the rollback has asked for exactly this; each is asked the gates that a person would be.
"""

from uuid import UUID

from django.db import transaction

from .. import gates
from ..lifecycle import InstanceState
from ..models import AgentInstance
from .instances import set_state, whole_locked

TURN = 1_000


def replacements_waiting(tenant_id: UUID) -> list[UUID]:
    """Those whose telemetry has been seen, the oldest first; at most a thousand a look."""
    waiting = AgentInstance.objects.filter(
        tenant=tenant_id,
        replacement=True,
        state=InstanceState.PROVISIONING,
        status__telemetry_at__isnull=False,
    )
    return list(waiting.order_by("pk").values_list("pk", flat=True)[:TURN])


@transaction.atomic
def activate_replacement(*, instance_id: UUID) -> int:
    """1 if it is at work now. One that misses something stays and says so on its page; one that somebody else is at is left
    to them."""
    free = AgentInstance.objects.select_for_update(skip_locked=True).only("pk").filter(pk=instance_id)
    if not free.exists():
        return 0
    instance = whole_locked(instance_id)
    if instance.state != InstanceState.PROVISIONING or not instance.replacement:
        return 0
    if instance.status.telemetry_at is None:
        return 0
    if not all(verdict.passed for verdict in gates.for_activation(instance)):
        return 0
    why = "It replaces what the slot has left: its telemetry is seen, and nothing is missing."
    set_state(instance, InstanceState.ACTIVE, None, "registry.instance.activated", why)
    return 1
