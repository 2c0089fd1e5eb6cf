"""What emptying a slot would do, before anybody does it, and what a binding leaves as it is."""

from dataclasses import dataclass

from django.db.models import Count

from ..lifecycle import InstanceState
from ..models import DeploymentSlot, RolloutSlot
from .releases import running_rollout


@dataclass(frozen=True, slots=True)
class Emptying:
    """How many drain, are withdrawn before they began, and stay stopped; `rollout` stands in the way."""

    drains: int
    withdrawn: int
    left: int
    rollout: RolloutSlot | None


def emptying(slot: DeploymentSlot) -> Emptying:
    rows = slot.instances.live().order_by().values_list("state")
    states = dict(rows.annotate(n=Count("pk")))
    drains, waits = states.pop(InstanceState.ACTIVE, 0), states.pop(InstanceState.PROVISIONING, 0)
    return Emptying(drains, waits, sum(states.values()), running_rollout(slot))


def left_behind(slot: DeploymentSlot) -> int:
    """How many live instances of the slot run another version than it is bound to: a plain binding moves none of them."""
    return slot.instances.live().exclude(version=None).exclude(version=slot.current_version_id).count()
