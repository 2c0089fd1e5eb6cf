"""Agents, environments, providers and slots as their pages show them, with what runs there."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db.models import Count, ExpressionWrapper, Func, IntegerField, OuterRef, Subquery, UUIDField
from django.db.models.functions import Cast, Coalesce

from arm import clock
from arm.grants import Scopes
from arm.models import ChangeRecord, User
from arm.permissions import allowed, held_on, scopes, visible
from arm.rights import Right

from ..lifecycle import InstanceState
from ..models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Handover,
    Ownership,
    Provider,
    ReleaseException,
    Rollback,
    RolloutSlot,
    SlotBinding,
)
from .related import SHOWN, by_state, changes_of, owners, with_staleness
from .releases import running_rollout

LIVE_COUNTED = 5_000
"""A list says “5,000+” beyond this: nobody waits for a list to count a fleet."""


LEAVING = (InstanceState.DRAINING, InstanceState.QUARANTINED)
"""They start no run wherever they are."""


@dataclass(frozen=True, slots=True)
class TemplatePage:
    owners: tuple[User, ...]
    versions: tuple[AgentVersion, ...]
    version_count: int
    instances_by_state: tuple[tuple[str, str, int], ...]
    instance_count: int
    changes: tuple[ChangeRecord, ...]
    rights: frozenset[Right]


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """An agent in the list, with its newest version and how much of it runs."""

    template: AgentTemplate
    owners: tuple[User, ...]
    newest: AgentVersion | None
    instance_count: int


@dataclass(frozen=True, slots=True)
class PlacePage:
    """What runs in an environment or at a provider."""

    states: tuple[tuple[str, str, int], ...]
    instance_count: int
    stale_count: int
    changes: tuple[ChangeRecord, ...]
    rights: frozenset[Right]


@dataclass(frozen=True, slots=True)
class SlotPage:
    bindings: tuple[SlotBinding, ...]
    rollout: RolloutSlot | None
    handovers: tuple[Handover, ...]
    exceptions: tuple[ReleaseException, ...]
    rollbacks: tuple[Rollback, ...]
    instances: tuple[tuple[AgentInstance, bool], ...]
    instance_count: int
    astray: int
    """Live instances of versions for which the slot has no place any more: they start no run."""
    kept: bool
    """What it is bound to is there only because a rollout was aborted: nobody stands for it."""
    rolls_out: bool
    """Whether a rollout into it may be planned by who looks: it is open, none holds it, and it takes the right on its
    environment."""
    changes: tuple[ChangeRecord, ...]
    rights: frozenset[Right]

    @property
    def hands_over(self) -> bool:
        """Whether something works on here until it is replaced."""
        return any(handover.ended_at is None for handover in self.handovers)


def template_page(template: AgentTemplate, actor: User) -> TemplatePage:
    """Everything about a template that `actor`, who may see it, may see."""
    rights = held_on(actor, template)
    versions = AgentVersion.objects.filter(template=template)
    running = AgentInstance.objects.filter(template=template)
    by_state = dict(running.order_by().values_list("state").annotate(n=Count("pk")))
    return TemplatePage(
        owners=owners(template),
        versions=tuple(versions.for_list()[:SHOWN]),
        version_count=versions.count(),
        instances_by_state=tuple(
            (state.value, state.label, by_state[state.value])
            for state in InstanceState
            if state.value in by_state
        ),
        instance_count=sum(by_state.values()),
        changes=changes_of(template, rights),
        rights=rights,
    )


def template_rows(templates: Sequence[AgentTemplate]) -> tuple[TemplateRow, ...]:
    """The rows of the list, with two queries for all of them. What has no version has no instance."""
    ids = [template.pk for template in templates]
    live = AgentInstance.objects.live().filter(template=OuterRef("template")).order_by().values("template")
    newest = AgentVersion.objects.filter(template__in=ids).order_by("template_id", "-number")
    found = (
        AgentVersion.objects.filter(pk__in=newest.distinct("template_id").values("pk"))
        .only("template_id", "number", "label", "state")
        .annotate(live=Coalesce(Subquery(live.annotate(n=Count("pk")).values("n")), 0))
    )
    known = {version.template_id: (version, version.live) for version in found}  # type: ignore[attr-defined]
    people: dict[UUID, list[User]] = {}
    for held in (
        Ownership.objects.filter(template__in=ids, until=None).select_related("user").order_by("since")
    ):
        people.setdefault(held.template_id, []).append(held.user)
    return tuple(
        TemplateRow(row, tuple(people.get(row.pk, ())), *known.get(row.pk, (None, 0))) for row in templates
    )


def place_page(place: Environment | Provider, actor: User) -> PlacePage:
    """What runs in an environment or at a provider, as far as the actor sees it."""
    rights = held_on(actor, place)
    where = {"environment" if isinstance(place, Environment) else "provider": place}
    seen = visible(AgentInstance.objects.live().filter(**where), actor, Right.READ_DIRECTORY)
    silent = visible(AgentInstance.objects.stale(clock.now()).filter(**where), actor, Right.READ_DIRECTORY)
    states = by_state(seen)
    return PlacePage(
        states=states,
        instance_count=sum(count for _, _, count in states),
        stale_count=silent.count(),
        changes=changes_of(place, rights),
        rights=rights,
    )


def slot_page(slot: DeploymentSlot, actor: User) -> SlotPage:
    """A slot with its history and what runs in it."""
    rights = held_on(actor, slot)
    running = visible(AgentInstance.objects.for_list().filter(slot=slot), actor, Right.READ_DIRECTORY)
    bindings = SlotBinding.objects.filter(slot=slot).select_related("version__template").order_by("-since")
    rollout = running_rollout(slot)
    free = rollout is None and slot.closed_at is None and Right.PROMOTE_RELEASE in rights
    return SlotPage(
        bindings=tuple(bindings[:SHOWN]),
        rollout=rollout,
        handovers=tuple(
            slot.handovers.select_related("version__template", "rollout", "rollback").order_by("-pk")[:SHOWN]
        ),
        exceptions=tuple(slot.exceptions.select_related("version__template", "granted_by")[:SHOWN]),
        rollbacks=tuple(
            slot.rollbacks.select_related("from_version__template", "to_version__template")[:SHOWN]
        ),
        instances=with_staleness(running[:SHOWN]),
        instance_count=running.count(),
        astray=running.live().with_slot().filter(slot_takes=False).exclude(state__in=LEAVING).count(),  # type: ignore[attr-defined]
        kept=slot.bindings.kept().exists(),
        rolls_out=free and allowed(actor, Right.PROMOTE_RELEASE, slot.environment),
        changes=changes_of(slot, rights),
        rights=rights,
    )


def instance_counts(
    places: Sequence[Environment] | Sequence[Provider], actor: User, held: Scopes | None = None
) -> dict[UUID, int]:
    """Live instances in each environment, or at each provider, as far as the actor sees them; LIVE_COUNTED + 1 for more."""
    kind = type(places[0]) if places else Environment
    where = "environment" if kind is Environment else "provider"
    held = scopes(actor, Right.READ_DIRECTORY) if held is None and not actor.is_superuser else held
    live = AgentInstance.objects.live().order_by()
    if held and held.keys() <= {AgentTemplate}:  # their instances are near by; those of a place are not
        seen = visible(live.filter(**{f"{where}__in": places}), actor, Right.READ_DIRECTORY, held)
        return {key: min(n, LIVE_COUNTED + 1) for key, n in seen.values_list(where).annotate(n=Count("pk"))}
    seen = visible(live.filter(**{where: OuterRef("pk")}), actor, Right.READ_DIRECTORY, held)
    keys = Cast(
        ArraySubquery(seen.values("pk")[: LIVE_COUNTED + 1]), ArrayField(UUIDField())
    )  # or NULL: none is seen
    first = Coalesce(Func(keys, function="cardinality"), 0)
    rows = kind._default_manager.filter(pk__in=[place.pk for place in places])
    return dict(rows.order_by().annotate(n=ExpressionWrapper(first, IntegerField())).values_list("pk", "n"))
