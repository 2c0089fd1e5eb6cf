"""Who does a job: the instances, versions and agents of a role, by the rule that coverage counts with."""

from django.db.models import Q, QuerySet

from ..models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    RoleAssignment,
    RoleDefinition,
)
from ..models.words import FEW
from .narrowing import narrowed


def instances_doing(
    rows: QuerySet[AgentInstance], role: RoleDefinition, assigned: QuerySet[RoleAssignment]
) -> QuerySet[AgentInstance]:
    """Those that were given the role, those that are assigned to it, and those of a version that is assigned to it in
    their environment. `assigned`: the assignments in force that may be looked at."""
    held = assigned.filter(role=role).order_by()
    few = list(held.values_list("environment", "version", "instance")[: FEW + 1])
    wanted = Q(role=role)
    if len(few) > FEW:
        whole = held.filter(instance=None)
        for place in whole.values_list("environment", flat=True).distinct():
            versions = whole.filter(environment=place).values("version")
            wanted |= Q(environment=place, version__in=versions)
        return rows.filter(wanted | Q(pk__in=held.exclude(instance=None).values("instance")))
    if single := [instance for *_, instance in few if instance is not None]:
        wanted |= Q(pk__in=single)
    for place in {place for place, _, instance in few if instance is None}:
        versions_there = [v for p, v, instance in few if p == place and instance is None]
        wanted |= Q(environment=place, version__in=versions_there)
    return rows.filter(wanted)


def versions_doing(
    rows: QuerySet[AgentVersion],
    roles: QuerySet[RoleDefinition],
    slots: QuerySet[DeploymentSlot],
    assigned: QuerySet[RoleAssignment],
) -> QuerySet[AgentVersion]:
    """Those that one of these slots binds for one of the roles, and those that one of these assignments gives it."""
    keys = roles.order_by().values("pk")
    bound = slots.filter(role__in=keys).exclude(current_version=None).order_by()
    given = assigned.filter(role__in=keys).order_by()
    return narrowed(rows, "pk", bound.values_list("current_version"), given.values_list("version"))


def agents_doing(
    rows: QuerySet[AgentTemplate],
    roles: QuerySet[RoleDefinition],
    slots: QuerySet[DeploymentSlot],
    assigned: QuerySet[RoleAssignment],
    instances: QuerySet[AgentInstance],
) -> QuerySet[AgentTemplate]:
    """The agents of such versions, and those of which a live one of these instances was given one of the roles. Agents are
    few enough to be asked at once, with no look before."""
    of = AgentVersion.objects.order_by()
    keys = roles.order_by().values("pk")
    working = instances.live().filter(role__in=keys).order_by()  # type: ignore[attr-defined]
    bound = slots.filter(role__in=keys).exclude(current_version=None).order_by()
    given = assigned.filter(role__in=keys).order_by()
    return rows.filter(
        Q(pk__in=of.filter(pk__in=bound.values("current_version")).values("template"))
        | Q(pk__in=of.filter(pk__in=given.values("version")).values("template"))
        | Q(pk__in=working.values("template"))
    )
