"""What another order of the channels would change, before anybody changes it."""

from collections.abc import Collection, Iterable, Sequence
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
class Hidden:
    """Stands where an environment is that the reader may not see."""

    slug: str = "hidden"

    def __str__(self) -> str:
        return "one that you may not see"


@dataclass(frozen=True, slots=True)
class RuleChange:
    """An environment whose channel before it is another one then. Of its `slots`, `strangers` have a version that was
    never in that channel for their role: each keeps it, and another slot here would not get it."""

    environment: Environment
    before: Environment | Hidden | None
    after: Environment | Hidden | None
    slots: int
    hidden: int
    strangers: int


@dataclass(frozen=True, slots=True)
class OrderPreview:
    """`order` is the present one by slug, which a change must still find; `rollouts` stand in its way. What the reader may
    not see has no name in it: `hidden` stands for its slug, and `hidden_…` count the rest."""

    environment: Environment
    place: int
    order: tuple[str, ...]
    then: tuple[str, ...]
    changes: tuple[RuleChange, ...]
    rollouts: tuple[Rollout, ...]
    hidden_rules: int = 0
    hidden_rollouts: int = 0

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
    seen = seen_among(order, actor)
    named = [rule for rule in rules if rule[0].pk in seen]
    rollouts, hidden = seen_rollouts([one for one, _, _ in rules], actor)
    return OrderPreview(
        environment=environment,
        place=place,
        order=slugs_for(order, seen),
        then=slugs_for(then, seen),
        changes=tuple(_change(*rule, actor, seen) for rule in named),
        rollouts=rollouts,
        hidden_rules=len(rules) - len(named),
        hidden_rollouts=hidden,
    )


def seen_among(places: Sequence[Environment], actor: User) -> frozenset[UUID]:
    """Which of the environments the actor may see."""
    rows = Environment.objects.filter(pk__in=[one.pk for one in places])
    return frozenset(visible(rows, actor, Right.READ_DIRECTORY).values_list("pk", flat=True))


def slugs_for(order: Sequence[Environment], seen: Collection[UUID]) -> tuple[str, ...]:
    """The order by slug, without the names of what is not seen."""
    return tuple(one.slug if one.pk in seen else Hidden().slug for one in order)


def seen_rollouts(environments: Iterable[Environment], actor: User) -> tuple[tuple[Rollout, ...], int]:
    """The rollouts that run or are paused there: those that the actor may see, and how many more there are."""
    held = held_in(environments)
    rows = Rollout.objects.filter(pk__in=[one.pk for one in held])
    seen = set(visible(rows, actor, Right.READ_DIRECTORY).values_list("pk", flat=True)) if held else set()
    shown = tuple(one for one in held if one.pk in seen)
    return shown, len(held) - len(shown)


def _masked(environment: Environment | None, seen: Collection[UUID]) -> Environment | Hidden | None:
    return environment if environment is None or environment.pk in seen else Hidden()


def _change(
    environment: Environment,
    before: Environment | None,
    after: Environment | None,
    actor: User,
    known: Collection[UUID],
) -> RuleChange:
    slots = DeploymentSlot.objects.filter(environment=environment).exclude(current_version=None)
    seen = visible(slots, actor, Right.READ_DIRECTORY)
    been = SlotBinding.objects.proven().filter(
        version=OuterRef("current_version"), slot__environment=after, slot__role=OuterRef("role")
    )
    count = seen.count()
    return RuleChange(
        environment=environment,
        before=_masked(before, known),
        after=_masked(after, known),
        slots=count,
        hidden=slots.count() - count,
        strangers=seen.exclude(Exists(been)).count() if after is not None else 0,
    )
