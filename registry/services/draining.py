"""What was replaced, or left by its slot, is retired by ARM itself once it has nothing left to do; of what is not known,
nothing is assumed, and what anybody drained for another reason stays."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from arm import clock

from ..gates.draining import SILENCE, anybody_heard, waits_for
from ..lifecycle import InstanceState
from ..models import AgentInstance, DrainRound
from .instances import end_instance

AT_ONCE: Final = 100
"""Instances of one look; the next look goes on after the last of them."""
LOST: Final = timedelta(minutes=5)
"""A round that nobody has touched for longer has lost its worker; its next turn may wait in the queue that long."""
WHY: Final = (
    "It was replaced and has drained: nothing came from it for 15 minutes, and no work of it is in flight."
)


def drained_after(tenant_id: UUID, after: UUID | None = None) -> Sequence[UUID]:
    """What leaves and has been silent for long enough to be looked at, by its key, from `after` on. What can not pass as
    things are (nothing was ever heard of it, its provider has said nothing since, its children live) is not among them."""
    rows = AgentInstance.objects.filter(tenant=tenant_id).have_left(clock.now() - SILENCE)
    if not anybody_heard(tenant_id):
        rows = rows.filter(status__telemetry_at=None)
    if after is not None:
        rows = rows.filter(pk__gt=after)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])


@transaction.atomic
def retire_drained(*, instance_id: UUID) -> bool:
    """Retire one that leaves and has nothing left to do. Whether it was: one that somebody else is at, that moved
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


@transaction.atomic
def take_drain_round(*, tenant_id: UUID, turn: int = 0) -> DrainRound | None:
    """The tenant's mark, for one worker: that of this `turn`, or anew. None while another worker has it. Where one was
    lost, the round goes on after what it had reached."""
    now = clock.now()
    DrainRound.objects.bulk_create([DrainRound(tenant_id=tenant_id)], ignore_conflicts=True)
    mark = DrainRound.objects.select_for_update().get(tenant=tenant_id)
    going = mark.touched_at is not None and now - mark.touched_at < LOST
    if mark.turn != turn if turn else going:
        return None
    mark.turn, mark.touched_at = turn or mark.turn + 1, now
    mark.save(update_fields=["turn", "touched_at"])
    return mark


def touch_drain_round(*, tenant_id: UUID, turn: int, reached: UUID) -> bool:
    """Whether the mark still is this worker's, which has looked at everything up to `reached`."""
    return bool(_held(tenant_id, turn).update(touched_at=clock.now(), reached=reached))


def end_drain_round(*, tenant_id: UUID, turn: int) -> None:
    """There is nothing more to look at: the next round begins anew."""
    _held(tenant_id, turn).update(reached=None, touched_at=None)


def _held(tenant_id: UUID, turn: int) -> QuerySet[DrainRound]:
    return DrainRound.objects.filter(tenant=tenant_id, turn=turn)
