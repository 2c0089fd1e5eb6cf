"""Where a version may go next: the slots of the channel after one that it was in, for the same role, as links with slot
and version filled in. What stands in the way is said by the gates when they are followed."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from ..lifecycle import VersionState
from ..models import AgentVersion, DeploymentSlot, Environment, RolloutSlot, SlotBinding
from .channels import channels_of

SHOWN = 12
See = Callable[[QuerySet[Any]], QuerySet[Any]]


def climbs_of(version: AgentVersion, actor: User) -> tuple[DeploymentSlot, ...]:
    """The slots that an approved version may climb to, in the order of the channels, of those where `actor` may
    release; each knows as `rolls_out` whether that is true of a rollout, too. Into the first channel: slots that a
    version of its agent has; a version that was never bound, of an agent that has none there, may begin in any that is
    empty. A slot that a rollout holds is none, and neither is one that was closed."""
    if version.state != VersionState.APPROVED or version.rolled_back:
        return ()
    order = channels_of(version.tenant_id)
    if not order:
        return ()
    after = {one.pk: then.pk for one, then in itertools.pairwise(order)}
    bindings = SlotBinding.objects.filter(version=version)
    been = list(bindings.values_list("slot__role", "slot__environment").distinct())
    wanted = [Q(role=role, environment=after[place]) for role, place in been if place in after]
    own = Q(environment=order[0], current_version__template=version.template_id)
    if not been and not DeploymentSlot.objects.filter(own).exists():
        own = Q(environment=order[0], current_version=None)
    rows = free(DeploymentSlot.objects.filter(reduce(or_, wanted, own)), actor)
    rows = rows.annotate(rolls_out=_rolls_out(partial(visible, actor=actor, right=Right.PROMOTE_RELEASE)))
    rows = rows.exclude(current_version=version).select_related("role", "environment", "provider")
    return tuple(rows.order_by("environment__position", "role__name", "ordinal", "pk")[:SHOWN])


def climbing(slots: QuerySet[DeploymentSlot], promotes: See) -> QuerySet[DeploymentSlot]:
    """Slots of a board that know the channel after theirs as `next_channel`, as `open_to_visitor` whether the visitor
    may release into them now, and as `rolls_out` whether by a rollout, too."""
    here = Environment.objects.filter(
        tenant=OuterRef("tenant"), position__gt=OuterRef("environment__position")
    )
    held = RolloutSlot.objects.filter(held=True, slot=OuterRef("pk"))
    mine = promotes(DeploymentSlot.objects.order_by()).filter(pk=OuterRef("pk"))
    return slots.annotate(
        next_channel=Subquery(here.order_by("position", "pk").values("pk")[:1]),
        open_to_visitor=Q(closed_at=None) & Exists(mine) & ~Exists(held),
        rolls_out=_rolls_out(promotes),
    )


def _rolls_out(promotes: See) -> Exists:
    """Whether a slot is where rollouts may be planned: that is asked of its environment, a binding also of its provider
    (ADR 42)."""
    return Exists(promotes(Environment.objects.order_by()).filter(pk=OuterRef("environment")))


def with_climbs(slots: Sequence[Any]) -> None:
    """Give each of these slots (of `climbing`) as `climbs` those among them that its version may climb to."""
    there: dict[tuple[UUID, UUID], list[Any]] = {}
    for slot in slots:
        there.setdefault((slot.role_id, slot.environment_id), []).append(slot)
    for slot in slots:
        version = slot.current_version
        may = version is not None and version.state == VersionState.APPROVED and not version.rolled_back
        slot.climbs = [
            one
            for one in (there.get((slot.role_id, slot.next_channel), []) if may else [])
            if one.open_to_visitor and one.current_version_id != slot.current_version_id
        ]


def free(slots: QuerySet[DeploymentSlot], actor: User) -> QuerySet[DeploymentSlot]:
    """Those that are open, where `actor` may release and no rollout is under way."""
    held = RolloutSlot.objects.filter(held=True).values("slot")
    return visible(slots.filter(closed_at=None).exclude(pk__in=held), actor, Right.PROMOTE_RELEASE)
