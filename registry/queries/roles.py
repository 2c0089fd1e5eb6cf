"""A role as its page shows it: what it asks, who does it, and where somebody is missing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from arm import clock
from arm.errors import Problem
from arm.grants import Scopes
from arm.models import ChangeRecord, Tenant, User
from arm.permissions import held_on, scopes, visible
from arm.rights import Right

from .. import fitness, gates, staffing
from ..facts import RoleFact, role_facts
from ..lifecycle import ALLOWS
from ..models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Heartbeat,
    RoleAssignment,
    RoleDefinition,
)
from .related import SHOWN, changes_of

AT_WORK = [state.value for state, allows in ALLOWS.items() if allows.new_work]
"""Who is stopped or finishing covers nothing."""


@dataclass(frozen=True, slots=True)
class Cover:
    """How a role is covered in an environment that its rule names: `have` instances are at work and heard in time."""

    environment: Environment
    need: int
    have: int
    providers: int
    failover: bool

    @property
    def lacks(self) -> int:
        return max(0, self.need - self.have)

    @property
    def one_provider(self) -> bool:
        """Covered, and nobody would be left if its one provider failed."""
        return self.failover and self.providers < 2

    @property
    def gap(self) -> str:
        """What is missing, in words; '' where nothing is."""
        said = [f"lacks {self.lacks} of {self.need}"] if self.lacks else []
        if self.one_provider:
            said.append("has no failover provider")
        return " and ".join(said)


@dataclass(frozen=True, slots=True)
class RoleRow:
    role: RoleDefinition
    assigned: int
    slots: int
    covers: tuple[Cover, ...]

    @property
    def gaps(self) -> tuple[Cover, ...]:
        return tuple(one for one in self.covers if one.gap)


@dataclass(frozen=True, slots=True)
class Staffed:
    """An assignment in force or to come, and what its version lacks by what the role asks now."""

    assignment: RoleAssignment
    missing: tuple[gates.Verdict, ...]
    may_end: bool


@dataclass(frozen=True, slots=True)
class RolePage:
    covers: tuple[Cover, ...]
    staffed: tuple[Staffed, ...]
    assigned: int
    former: tuple[RoleAssignment, ...]
    slots: tuple[DeploymentSlot, ...]
    kept: tuple[RoleFact, ...]
    """How its budgets and objectives are kept, as far as the reader may see that."""
    changes: tuple[ChangeRecord, ...]
    rights: frozenset[Right]


def coverage(
    roles: Sequence[RoleDefinition], actor: User | None, held: Scopes | None = None
) -> dict[UUID, tuple[Cover, ...]]:
    """How each role is covered in the environments of its rule, as far as the actor sees them (None: a rule, which
    sees all of its tenant), in five queries.

    Who does a role: instances that were given it, those of versions assigned to it there, and instances assigned to it.
    """
    wanted = [role for role in roles if role.coverage]
    if not wanted:
        return {}
    held = held or (_scopes(actor) if actor is not None else None)
    seen = _seen(_environments(wanted), actor, held)
    places = {place.slug: place for place in seen}
    crews = _crews(wanted, actor, held)
    return {
        role.pk: tuple(
            Cover(
                environment=place,
                need=need,
                have=sum(crews[role.pk, place.pk].values()),
                providers=len(crews[role.pk, place.pk]),
                failover=role.failover,
            )
            for place, need in sorted(
                ((places[slug], need) for slug, need in role.covers.items() if slug in places),
                key=lambda row: row[0].position,
            )
        )
        for role in wanted
    }


def _scopes(actor: User) -> Scopes | None:
    """Where the actor reads the directory, asked once for several lists; a superuser is asked nothing."""
    return None if actor.is_superuser else scopes(actor, Right.READ_DIRECTORY)


def _seen(rows: QuerySet[Any], actor: User | None, held: Scopes | None) -> QuerySet[Any]:
    return rows if actor is None else visible(rows, actor, Right.READ_DIRECTORY, held)


def _environments(roles: Sequence[RoleDefinition]) -> QuerySet[Environment]:
    return Environment.objects.filter(slug__in={slug for role in roles for slug in role.covers})


def _crews(
    roles: Sequence[RoleDefinition], actor: User | None, rights: Scopes | None
) -> dict[tuple[UUID, UUID], dict[UUID, int]]:
    """(role, environment) → provider → how many are at work."""
    held = RoleAssignment.objects.in_force().filter(role__in=roles)
    whole: dict[tuple[UUID, UUID], set[UUID]] = defaultdict(set)
    single: dict[UUID, set[UUID]] = defaultdict(set)
    for role_id, place_id, version_id, instance_id in held.values_list(
        "role", "environment", "version", "instance"
    ):
        if instance_id is None:
            whole[version_id, place_id].add(role_id)
        else:
            single[instance_id].add(role_id)
    now = clock.now()
    fresh = AgentInstance.objects.heard_as(now, [Heartbeat.FRESH]).filter(state__in=AT_WORK)
    seen: QuerySet[AgentInstance] = _seen(fresh, actor, rights)
    crews: dict[tuple[UUID, UUID], dict[UUID, int]] = defaultdict(lambda: defaultdict(int))
    asked = {role.pk for role in roles}
    groups = seen.filter(Q(role__in=roles) | Q(version__in={version for version, _ in whole})).order_by()
    for role_id, version_id, place_id, provider_id, count in groups.values_list(
        "role", "version", "environment", "provider"
    ).annotate(n=Count("pk")):
        for does in whole.get((version_id, place_id), set()) | ({role_id} & asked):
            crews[does, place_id][provider_id] += count
    for row in seen.filter(pk__in=single).order_by():
        for does in single[row.pk] - whole.get((row.version_id, row.environment_id), set()) - {row.role_id}:
            crews[does, row.environment_id][row.provider_id] += 1
    return crews


def role_rows(
    roles: Sequence[RoleDefinition], actor: User, held: Scopes | None = None
) -> tuple[RoleRow, ...]:
    """The rows of the list, with a fixed number of queries for all of them."""
    held = held or _scopes(actor)
    covers = coverage(roles, actor, held)
    seen = visible(
        RoleAssignment.objects.in_force().filter(role__in=roles), actor, Right.READ_DIRECTORY, held
    ).order_by()
    assigned = dict(seen.values_list("role").annotate(n=Count("pk")))
    slots = visible(
        DeploymentSlot.objects.filter(role__in=roles), actor, Right.READ_DIRECTORY, held
    ).order_by()
    opened = dict(slots.values_list("role").annotate(n=Count("pk")))
    return tuple(
        RoleRow(role, assigned.get(role.pk, 0), opened.get(role.pk, 0), covers.get(role.pk, ()))
        for role in roles
    )


def with_gaps(rows: QuerySet[RoleDefinition], actor: User) -> list[UUID]:
    """Those of these roles that lack somebody somewhere, as far as the actor sees what is at work."""
    roles = list(rows.exclude(coverage=[]))
    return [key for key, covers in coverage(roles, actor).items() if any(one.gap for one in covers)]


def role_page(role: RoleDefinition, actor: User) -> RolePage:
    """Everything about a role that `actor`, who may see it, may see."""
    rights = held_on(actor, role)
    rows = visible(RoleAssignment.objects.for_list().filter(role=role), actor, Right.READ_DIRECTORY)
    held = rows.open()  # type: ignore[attr-defined]
    places = Environment.objects.filter(pk__in=held.order_by().values("environment"))
    may_end = set(visible(places, actor, Right.PROMOTE_RELEASE).order_by().values_list("pk", flat=True))
    slots = DeploymentSlot.objects.filter(role=role).select_related(
        "environment", "role", "provider", "current_version__template", "previous_version__template"
    )
    return RolePage(
        covers=coverage([role], actor).get(role.pk, ()),
        staffed=tuple(
            Staffed(row, _lacks(role, row), row.environment_id in may_end)
            for row in held.select_related("version__genome")[:SHOWN]
        ),
        assigned=held.count(),
        former=tuple(rows.filter(until__lte=clock.now())[:SHOWN]),
        slots=tuple(visible(slots, actor, Right.READ_DIRECTORY)[:SHOWN]),
        kept=kept_by(role, rights),
        changes=changes_of(role, rights),
        rights=rights,
    )


def kept_by(role: RoleDefinition, rights: frozenset[Right]) -> tuple[RoleFact, ...]:
    """How the role's budgets and objectives are kept: those facts for which the rights are held."""
    return tuple(fact for fact in role_facts(role) if fact.right in rights)


def _lacks(role: RoleDefinition, row: RoleAssignment) -> tuple[gates.Verdict, ...]:
    return tuple(fitness.lacking(fitness.for_assignment(role, row.environment, row.version)))


def role_check(
    role: RoleDefinition, environment: Environment, version: AgentVersion
) -> tuple[gates.Verdict, ...]:
    """Every answer to “is this version fit for the role there?”, without assigning anything."""
    return tuple(fitness.for_assignment(role, environment, version))


def role_problems(tenant: Tenant, values: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with what a role of the tenant shall ask; members that are no demand are passed over. A budget
    without a currency is in the tenant's."""
    environments = Environment.objects.filter(tenant=tenant).values_list("slug", flat=True)
    return staffing.problems(staffing.priced(values, tenant.currency), environments)
