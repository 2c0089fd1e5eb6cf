"""What another order of the channels would change, before anybody changes it."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef

from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from ..engine import moved_to, other_rules
from ..engine.rollouts import HELD
from ..models import DeploymentSlot, Environment, Rollout, SlotBinding


@dataclass(frozen=True, slots=True)
class RuleChange:
    """An environment whose channel before it is another one then. Of its `slots`, `strangers` have a version that was
    never in that channel for their role: each keeps it, and another slot here would not get it."""

    environment: Environment
    before: Environment | None
    after: Environment | None
    slots: int
    hidden: int
    strangers: int


@dataclass(frozen=True, slots=True)
class OrderPreview:
    """`order` is the present one by slug, which a change must still find; `rollouts` stand in its way."""

    environment: Environment
    place: int
    order: tuple[str, ...]
    then: tuple[str, ...]
    changes: tuple[RuleChange, ...]
    rollouts: tuple[Rollout, ...]

    @property
    def token(self) -> str:
        """The present order, as a form carries it along."""
        return " ".join(self.order)


def channels_of(tenant_id: UUID) -> list[Environment]:
    return list(Environment.objects.filter(tenant=tenant_id).order_by("position", "pk"))


def place_of(environment: Environment) -> int:
    """Its place in the order, from 1, whatever the numbers are that the places have."""
    earlier = Environment.objects.filter(tenant=environment.tenant_id, position__lt=environment.position)
    return earlier.count() + 1


def held_in(environments: Iterable[Environment]) -> tuple[Rollout, ...]:
    """The rollouts that run or are paused in these environments: their steps ask the rules of the channels again."""
    rows = Rollout.objects.filter(environment__in=list(environments), state__in=HELD)
    return tuple(rows.select_related("environment", "role", "version__template").order_by("pk"))


def order_preview(environment: Environment, place: int, actor: User) -> OrderPreview:
    """What changes where the environment stands at `place` (from 1) of the order. ValueError: there is no such place."""
    order = channels_of(environment.tenant_id)
    then = moved_to(order, environment, place)
    rules = other_rules(order, then)
    return OrderPreview(
        environment=environment,
        place=place,
        order=tuple(one.slug for one in order),
        then=tuple(one.slug for one in then),
        changes=tuple(_change(one, before, after, actor) for one, before, after in rules),
        rollouts=held_in(one for one, _, _ in rules),
    )


def _change(
    environment: Environment, before: Environment | None, after: Environment | None, actor: User
) -> RuleChange:
    slots = DeploymentSlot.objects.filter(environment=environment).exclude(current_version=None)
    seen = visible(slots, actor, Right.READ_DIRECTORY)
    been = SlotBinding.objects.proven().filter(
        version=OuterRef("current_version"), slot__environment=after, slot__role=OuterRef("role")
    )
    count = seen.count()
    return RuleChange(
        environment=environment,
        before=before,
        after=after,
        slots=count,
        hidden=slots.count() - count,
        strangers=seen.exclude(Exists(been)).count() if after is not None else 0,
    )
