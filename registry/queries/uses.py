"""Who uses what: things by kind and name, and the versions and live instances behind each."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, OuterRef, QuerySet

from arm.models import Tenant, User
from arm.permissions import scopes, visible
from arm.rights import Right

from ..lifecycle import VersionState
from ..models import AgentInstance, AgentTemplate, AgentVersion, Dependency, Thing

USES_COUNTED = 1000
"""A list says “1,000+” beyond this: nobody waits for a list to count a fleet."""
BROKEN_DOWN = 20_000
"""Versions of one thing beyond which its page no longer counts them by state and place."""

_COUNTS = """
SELECT t.id,
  (SELECT count(*) FROM (
    SELECT 1 FROM registry_dependency d
    WHERE d.tenant_id = t.tenant_id AND d.kind = t.kind AND d.name = t.name {mine} LIMIT %(most)s) AS used),
  (SELECT count(*) FROM (
    SELECT 1 FROM registry_dependency d
    JOIN registry_agentinstance i ON i.version_id = d.version_id AND i.state <> 'retired'
    WHERE d.tenant_id = t.tenant_id AND d.kind = t.kind AND d.name = t.name {mine} LIMIT %(most)s) AS live)
FROM registry_thing t WHERE t.id = ANY(%(things)s)
"""


@dataclass(frozen=True, slots=True)
class Used:
    """How many versions use a thing, and how many live instances these have; `USES_COUNTED + 1` for more."""

    versions: int = 0
    live: int = 0


@dataclass(frozen=True, slots=True)
class UsesPage:
    """Who uses one thing. Without `states` and `places` where there are too many to count while somebody waits."""

    versions: int
    states: tuple[tuple[str, str, int], ...]
    places: tuple[tuple[str, str, int], ...]
    live: int
    counted: bool


def used_things(actor: User, right: Right = Right.READ_DIRECTORY) -> QuerySet[Thing]:
    """The things that some version uses on which the actor holds the right."""
    using = Dependency.objects.filter(tenant=OuterRef("tenant"), kind=OuterRef("kind"), name=OuterRef("name"))
    rows = Thing.objects.order_by("kind", "name", "pk")
    return rows.filter(Exists(visible(using.order_by(), actor, right)))


def users_of(thing: Thing) -> QuerySet[AgentVersion]:
    """The versions that use it."""
    using = Dependency.objects.filter(tenant=thing.tenant_id, kind=thing.kind, name=thing.name)
    return AgentVersion.objects.filter(pk__in=using.values("version"))


def counts_of(things: Sequence[Thing], actor: User) -> dict[UUID, Used]:
    """How much each of these is used, as far as the actor sees it: in one query, no further than USES_COUNTED."""
    mine = _templates(actor)
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNTS.format(mine="" if mine is None else "AND d.template_id = ANY(%(mine)s)"),
            {"most": USES_COUNTED + 1, "things": [thing.pk for thing in things], "mine": mine},
        )
        return {key: Used(versions, live) for key, versions, live in cursor.fetchall()}


def _templates(actor: User) -> list[UUID] | None:
    """The agents that the actor may see; None for all of the tenants in sight."""
    if actor.is_superuser:
        return None
    held = scopes(actor, Right.READ_DIRECTORY)
    if held.get(Tenant, {}).get(""):
        return None  # row-level security leaves the tenant of the request alone
    rows = visible(AgentTemplate.objects.order_by(), actor, Right.READ_DIRECTORY, held)
    return list(rows.values_list("pk", flat=True))


def uses_page(thing: Thing, actor: User) -> UsesPage:
    """Versions by state and live instances by environment."""
    versions = visible(users_of(thing).order_by(), actor, Right.READ_DIRECTORY)
    number = versions[: BROKEN_DOWN + 1].count()
    if number > BROKEN_DOWN:
        return UsesPage(number, (), (), 0, counted=False)
    by_state = dict(versions.values_list("state").annotate(n=Count("pk")))
    instances = AgentInstance.objects.live().filter(version__in=versions.values("pk")).order_by()
    places = (
        instances.values_list("environment__position", "environment__slug", "environment__name")
        .annotate(n=Count("pk"))
        .order_by("environment__position")
    )
    found = tuple((slug, name, n) for _, slug, name, n in places)
    return UsesPage(
        versions=number,
        states=tuple((s.value, s.label, by_state[s.value]) for s in VersionState if s.value in by_state),
        places=found,
        live=sum(n for *_, n in found),
        counted=True,
    )


def live_of(versions: Sequence[AgentVersion]) -> dict[UUID, int]:
    """How many live instances each of these versions has."""
    rows = AgentInstance.objects.live().filter(version__in=versions).order_by().values_list("version")
    return dict(rows.annotate(n=Count("pk")))
