"""What drains is retired by ARM itself once it has nothing left to do; of what is not known, nothing is assumed."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from arm import clock

from .. import gates
from ..gates.draining import waits_for
from ..lifecycle import InstanceState
from ..models import AgentInstance
from .instances import end_instance

AT_ONCE: Final = 100
"""Instances of one look; the next look goes on after the last of them."""
WHY: Final = "It has drained: nothing came from it for a minute, and no work of it is in flight."


def drained_after(tenant_id: UUID, after: UUID | None = None) -> Sequence[UUID]:
    """Draining instances that have been silent for long enough to be looked at, by their key, from `after` on."""
    quiet = clock.now() - gates.QUIET
    rows = AgentInstance.objects.filter(
        Q(status__telemetry_at=None) | Q(status__telemetry_at__lte=quiet),
        tenant=tenant_id,
        state=InstanceState.DRAINING,
        state_since__lte=quiet,
    )
    if after is not None:
        rows = rows.filter(pk__gt=after)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])


@transaction.atomic
def retire_drained(*, instance_id: UUID) -> bool:
    """Retire one that drains and has nothing left to do. Whether it was: one that somebody else is at, that moved
    meanwhile or that something is missing of (`gates.draining.waits_for`) stays as it is. May be repeated."""
    rows = AgentInstance.objects.select_for_update(skip_locked=True).only("pk")
    if not rows.filter(pk=instance_id, state=InstanceState.DRAINING).exists():
        return False
    instance = AgentInstance.objects.select_related(
        "version__template", "environment", "provider", "template", "status"
    ).get(pk=instance_id)
    if waits_for(instance):
        return False
    end_instance(instance, None, WHY)
    return True
