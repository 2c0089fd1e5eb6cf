"""Who uses what: things by kind and name, and the versions and live instances behind each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from arm import ids
from arm.grants import Scopes
from arm.models import Tenant, User
from arm.permissions import scopes, visible
from arm.rights import Right

from ..lifecycle import VersionState
from ..models import AgentTemplate, AgentVersion, Dependency, LiveCount, Thing

USES_COUNTED = 200
"""A list says “200+” beyond this: nobody waits for a list to count a fleet."""
BROKEN_DOWN = 20_000
"""Versions of one thing beyond which its page no longer counts them by state and place."""

ALL = 2**31
"""A limit that none reaches: what is under a limit is answered before what is around it."""

See = Callable[[QuerySet[Any]], QuerySet[Any]]
"""What the person may see of a queryset: `visible`, or `seen_by_visitor`, which asks for the rights once a request."""

# A row for each live instance, as far as the limit: of versions only as many are read as are needed to reach it.
_COUNTS = """
SELECT t.id,
  (SELECT count(*) FROM (
    SELECT 1 FROM registry_dependency d
    WHERE d.tenant_id = t.tenant_id AND d.kind = t.kind AND d.name = t.name {mine} LIMIT %(most)s) AS used),
  (SELECT count(*) FROM (
    SELECT 1 FROM registry_dependency d
    CROSS JOIN LATERAL (
      SELECT least(coalesce(sum(one.live), 0), %(most)s)::int AS n FROM registry_livecount one WHERE one.version_id = d.version_id
    ) AS kept
    CROSS JOIN LATERAL generate_series(1, kept.n)
    WHERE d.tenant_id = t.tenant_id AND d.kind = t.kind AND d.name = t.name {mine} LIMIT %(most)s) AS live)
FROM registry_thing t WHERE t.id = ANY(%(things)s)
"""

_BROKEN_DOWN = """
WITH found (version, state) AS MATERIALIZED ({found}),
     few AS (SELECT version FROM found WHERE (SELECT count(*) FROM found) <= %s),
     running AS (
       SELECT one.environment_id, sum(one.n) AS n
       FROM registry_livecount kept, unnest(kept.places, kept.counts) AS one (environment_id, n)
       WHERE kept.version_id IN (SELECT version FROM few) GROUP BY one.environment_id HAVING sum(one.n) > 0)
SELECT NULL, state, NULL, count(*) FROM found GROUP BY state
UNION ALL
SELECT e.position, e.slug, e.name, running.n FROM running JOIN registry_environment e ON e.id = running.environment_id
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


def used_things(see: See) -> QuerySet[Thing]:
    """The things that some version uses which `see` leaves in a queryset."""
    using = Dependency.objects.filter(tenant=OuterRef("tenant"), kind=OuterRef("kind"), name=OuterRef("name"))
    return Thing.objects.filter(Exists(see(using.order_by()))).order_by("kind", "name", "pk")


def found_first(things: QuerySet[Thing]) -> QuerySet[Thing]:
    """The same things for who sees few of many agents: found all, then taken in order. In the order of their keys
    PostgreSQL would look for each through all that those agents use, in the hope to have a page of them soon."""
    return Thing.objects.filter(pk__in=things.order_by().values("pk")[:ALL])


def users_of(thing: Thing, among: QuerySet[AgentVersion] | None = None) -> QuerySet[AgentVersion]:
    """The versions that use it, of all or `among` these: asked of each version once, not of a version and of itself again."""
    using = Dependency.objects.filter(tenant=thing.tenant_id, kind=thing.kind, name=thing.name)
    rows = AgentVersion.objects.all() if among is None else among
    return rows.filter(pk__in=using.order_by().values("version"))


def agent_names(things: Sequence[Thing], see: See) -> dict[UUID, str]:
    """What the agents among these things are called, by the thing's key, as far as `see` leaves them: what a version
    spawns is named by identifier. One statement, and none where no agent is among them."""
    keys = {thing.pk: key for thing in things if (key := _agent_key(thing)) is not None}
    if not keys:
        return {}
    agents = see(AgentTemplate.objects.filter(pk__in=keys.values())).order_by()
    names = dict(agents.values_list("pk", "name"))
    return {thing: names[key] for thing, key in keys.items() if key in names}


def _agent_key(thing: Thing) -> UUID | None:
    """None for what is no agent, and for one that is named by the tool it is called through."""
    if thing.kind != Dependency.Kind.AGENT:
        return None
    try:
        return ids.decode(AgentTemplate.prefix, thing.name)
    except ValueError:
        return None


def counts_of(things: Sequence[Thing], actor: User, held: Scopes | None = None) -> dict[UUID, Used]:
    """How much each of these is used, as far as the actor sees it: in one query, no further than USES_COUNTED."""
    mine = _templates(actor, held)
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNTS.format(mine="" if mine is None else "AND d.template_id = ANY(%(mine)s)"),
            {"most": USES_COUNTED + 1, "things": [thing.pk for thing in things], "mine": mine},
        )
        return {key: Used(versions, live) for key, versions, live in cursor.fetchall()}


def sees_all(actor: User, held: Scopes) -> bool:
    """Whether the actor may see every agent of the tenants in sight."""
    return actor.is_superuser or bool(
        held.get(Tenant, {}).get("")
    )  # the wall leaves the tenant of the request alone


def _templates(actor: User, held: Scopes | None) -> list[UUID] | None:
    """The agents that the actor may see; None for all of the tenants in sight."""
    if actor.is_superuser:
        return None
    held = scopes(actor, Right.READ_DIRECTORY) if held is None else held
    if sees_all(actor, held):
        return None
    rows = visible(AgentTemplate.objects.order_by(), actor, Right.READ_DIRECTORY, held)
    return list(rows.values_list("pk", flat=True))


def uses_page(thing: Thing, see: See) -> UsesPage:
    """Versions by state and live instances by environment, in one query."""
    using = see(users_of(thing).order_by()).values("pk", "state")[: BROKEN_DOWN + 1]
    try:
        found, params = using.query.sql_with_params()
    except EmptyResultSet:
        return UsesPage(0, (), (), 0, counted=True)
    by_state: dict[str, int] = {}
    places: list[tuple[int, str, str, int]] = []
    with connection.cursor() as cursor:
        cursor.execute(_BROKEN_DOWN.format(found=found), [*params, BROKEN_DOWN])
        for rank, key, word, n in cursor.fetchall():
            if rank is None:
                by_state[key] = n
            else:
                places.append((rank, key, word, n))
    versions = sum(by_state.values())
    if versions > BROKEN_DOWN:
        return UsesPage(versions, (), (), 0, counted=False)
    return UsesPage(
        versions=versions,
        states=tuple((s.value, s.label, by_state[s.value]) for s in VersionState if s.value in by_state),
        places=tuple((key, word, n) for _, key, word, n in sorted(places)),
        live=sum(n for *_, n in places),
        counted=True,
    )


def with_live(versions: QuerySet[AgentVersion]) -> QuerySet[AgentVersion]:
    """Each with how many live instances it has, as `live`."""
    kept = LiveCount.objects.filter(version=OuterRef("pk")).order_by().values("version")
    return versions.annotate(live=Coalesce(Subquery(kept.annotate(n=Sum("live")).values("n")), 0))
