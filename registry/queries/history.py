"""The fleet at any instant, by two clocks: what was so at `at`, as far as ARM had been told by `known`."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import (
    CharField,
    DateTimeField,
    Exists,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    UUIDField,
    Value,
)

from arm import clock
from arm.models import User
from arm.permissions import visible
from arm.ports import implementations
from arm.rights import Right

from ..lifecycle import InstanceState
from ..models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    InstanceInterval,
    Observation,
    Ownership,
    RoleAssignment,
    SlotBinding,
)
from ..sections import PastFact, PastSection

COUNTED = 20_000
"""Instances up to which the page counts by state and compares two instants; beyond, it asks for a filter."""

_COUNTS = """
WITH told (instance, position, environment, state, version) AS MATERIALIZED ({found}),
     meant AS (SELECT %s::uuid AS version)
SELECT position, environment, state, meant.version IS NULL OR told.version = meant.version, count(*)
FROM told, meant GROUP BY 1, 2, 3, 4
"""


IN_FLIGHT = timedelta(seconds=60)
"""What is written with a time of now is seen once it is committed: so long an answer about now may still change."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant by both clocks (aware, UTC). `known` is not before `at`."""

    at: datetime
    known: datetime

    @classmethod
    def of(cls, at: datetime | None, known: datetime | None, now: datetime | None = None) -> "Moment":
        """What is not said is now; `known` is now unless it is said, so that what was told later counts."""
        now = now or clock.now()
        return cls(at or now, known or now)

    @property
    def settled(self) -> bool:
        """Whether the answer stays: nothing that had been told by `known` is still on its way."""
        return max(self.at, self.known) <= clock.now() - IN_FLIGHT

    @property
    def encoded(self) -> str:
        return urlencode(self.query)

    @property
    def query(self) -> dict[str, str]:
        """The moment as a permalink's parameters."""
        return {"at": clock.exactly(self.at), "known": clock.exactly(self.known)}


@dataclass(frozen=True, slots=True)
class Then:
    """One instance as it was. `observed` is None where nothing had been reported, and its state empty for “unknown”."""

    instance: AgentInstance
    state: str
    version: AgentVersion
    since: datetime
    told: datetime
    observed: Observation | None
    binding: SlotBinding | None

    @property
    def told_late(self) -> bool:
        return self.told > self.since


def intervals_at(moment: Moment) -> QuerySet[InstanceInterval]:
    """Of each instance the row that counts, first: the latest that had begun, and of two the one told last."""
    rows = InstanceInterval.objects.filter(since__lte=moment.at, known_from__lte=moment.known)
    return rows.order_by("-since", "-known_from", "-pk")


def instances_at(moment: Moment, rows: QuerySet[AgentInstance]) -> QuerySet[Any]:
    """`rows` with `then_id`, `then_state` and `then_version`, None where there was no such instance yet.

    Whoever narrows them asks once and for states alone: each mention in a condition is a probe for every instance.
    """
    then = intervals_at(moment).filter(instance=OuterRef("pk"))
    return rows.annotate(
        then_id=Subquery(then.values("pk")[:1], output_field=UUIDField()),
        then_state=Subquery(then.values("state")[:1], output_field=CharField()),
        then_version=Subquery(then.values("version")[:1], output_field=UUIDField()),
        then_at=Value(moment.at, output_field=DateTimeField()),
        then_known=Value(moment.known, output_field=DateTimeField()),
    )


def seen_then(moment: Moment, instances: Sequence[Any]) -> list[Then]:
    """These rows of `instances_at` with what else was so, in three statements however many there are."""
    held = InstanceInterval.objects.filter(pk__in=[row.then_id for row in instances])
    intervals = {row.instance_id: row for row in held.select_related("version__template", "version__genome")}
    observed = observed_at(moment, [row.pk for row in instances])
    bound = bound_at(moment, {row.slot_id for row in instances if row.slot_id is not None})
    return [
        Then(
            instance=row,
            state=intervals[row.pk].state,
            version=intervals[row.pk].version,
            since=intervals[row.pk].since,
            told=intervals[row.pk].known_from,
            observed=observed.get(row.pk),
            binding=bound.get(row.slot_id) if row.slot_id else None,
        )
        for row in instances
    ]


def observed_at(moment: Moment, instances: Iterable[UUID]) -> dict[UUID, Observation]:
    """The last word about each, of what had been said by then."""
    return {row.instance_id: row for row in _observations(moment, instances)}


def _observations(moment: Moment, instances: Iterable[UUID]) -> QuerySet[Observation]:
    rows = Observation.objects.filter(
        instance__in=list(instances), at__lte=moment.at, told_at__lte=moment.known
    )
    return rows.order_by("instance_id", "-at", "-told_at", "-pk").distinct("instance_id")


def bound_at(moment: Moment, slots: Iterable[UUID]) -> dict[UUID, SlotBinding]:
    """What each slot was bound to, if anything; bindings are decided here, so what had been told by a moment had happened
    by it."""
    by_then = min(moment.at, moment.known)
    rows = SlotBinding.objects.filter(slot__in=list(slots), since__lte=by_then)
    latest = rows.order_by("slot_id", "-since", "-pk").distinct("slot_id")
    named = latest.select_related("version__template", "slot__environment", "slot__role", "slot__provider")
    # one that had ended by then, and that none followed, is of a slot that was emptied or closed
    return {row.slot_id: row for row in named if row.until is None or row.until > by_then}


def owners_at(moment: Moment, template: AgentTemplate) -> tuple[User, ...]:
    """Who answered for the agent."""
    by_then = min(moment.at, moment.known)
    rows = Ownership.objects.filter(template=template, since__lte=by_then)
    held = rows.filter(Q(until=None) | Q(until__gt=by_then)).select_related("user").order_by("since")
    return tuple(row.user for row in held)


def assigned_at(moment: Moment, then: "Then", actor: User) -> tuple[RoleAssignment, ...]:
    """The roles that the instance, or its version there, did the job of; as far as `actor` may see them."""
    by_then = min(moment.at, moment.known)
    ours = Q(instance=then.instance) | Q(instance=None, version=then.version)
    rows = RoleAssignment.objects.filter(ours, environment=then.instance.environment_id, since__lte=by_then)
    rows = rows.filter(Q(until=None) | Q(until__gt=by_then)).select_related("role")
    return tuple(visible(rows, actor, Right.READ_DIRECTORY).order_by("role__slug", "since"))


# counted and compared


class Was(NamedTuple):
    """An instance at a moment, as little of it as comparing takes."""

    instance_id: UUID
    position: int
    environment: str
    state: str
    version_id: UUID


def all_then(moment: Moment, rows: QuerySet[AgentInstance]) -> list[Was] | None:
    """Every one of `rows` that there was, retired or not, read in one pass; None where there are too many to do now."""
    found = list(_latest(moment, rows))
    return [Was(*row) for row in found] if len(found) <= COUNTED else None


def _latest(moment: Moment, rows: QuerySet[AgentInstance]) -> QuerySet[Any, tuple[Any, ...]]:
    """What `Was` says of each, COUNTED + 1 of them at most."""
    told = intervals_at(moment).filter(instance__in=rows.order_by().values("pk"))
    latest = told.order_by("instance_id", "-since", "-known_from", "-pk").distinct("instance_id")
    places = "instance__environment__position", "instance__environment__slug"
    return latest.values_list("instance_id", *places, "state", "version_id")[: COUNTED + 1]


def _are_many(moment: Moment, rows: QuerySet[AgentInstance]) -> bool:
    """Whether more than COUNTED were there among some of them: of many more nobody need look at all to know it."""
    then = intervals_at(moment).filter(instance=OuterRef("pk")).order_by()
    some = rows.order_by().annotate(was=Exists(then)).values("was")[: COUNTED * 5 // 4]
    try:
        found, params = some.query.sql_with_params()
    except EmptyResultSet:
        return False
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({found}) AS seen WHERE was", params)  # noqa: S608 - compiled
        return int(cursor.fetchone()[0]) > COUNTED


@dataclass(frozen=True, slots=True)
class Count:
    """How many instances were in a state, in one environment."""

    environment: str
    states: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def numbers(self) -> tuple[int, ...]:
        """By state, in the order of the lifecycle."""
        return tuple(self.states.get(state, 0) for state in InstanceState)


def counts(
    moment: Moment,
    rows: QuerySet[AgentInstance],
    states: Iterable[str] = tuple(InstanceState),
    version: UUID | None = None,
) -> tuple[Count, ...] | None:
    """Of `rows`, those in one of these states then, and of this version if one is named: by environment and state, in
    channel order. None where there are too many to count now."""
    if _are_many(moment, rows):
        return None
    try:
        found, params = _latest(moment, rows).query.sql_with_params()
    except EmptyResultSet:
        return ()
    by_place: dict[tuple[int, str], Counter[str]] = {}
    read = 0
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS.format(found=found), [*params, version])
        for position, environment, state, meant, n in cursor.fetchall():
            read += n
            if meant and state in states:
                by_place.setdefault((position, environment), Counter())[state] += n
    if read > COUNTED:
        return None
    return tuple(Count(slug, by_state) for (_, slug), by_state in sorted(by_place.items()))


@dataclass(frozen=True, slots=True)
class Side:
    """What an instance was at one of two moments; `report` is empty where it was unknown."""

    state: str
    version: AgentVersion
    report: str


@dataclass(frozen=True, slots=True)
class Differs:
    """One instance that was otherwise. A side that did not exist yet, or is told to have retired, is None."""

    instance: AgentInstance
    before: Side | None
    after: Side | None

    @property
    def words(self) -> str:
        before, after = self.before, self.after
        if before is None:
            return "began"
        if after is None:
            return "ended"
        said = []
        if before.state != after.state:
            said.append(f"{InstanceState(before.state).label} → {InstanceState(after.state).label}")
        if before.version != after.version:
            said.append(f"{before.version.short_name} → {after.version.short_name}")
        if before.report != after.report:
            said.append(f"reported {before.report or 'unknown'} → {after.report or 'unknown'}")
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Difference:
    """How many were otherwise, and those that were asked for, by name."""

    total: int
    rows: tuple[Differs, ...]


def difference(
    first: tuple[Moment, Sequence[Was]],
    second: tuple[Moment, Sequence[Was]],
    runs: Callable[[UUID], bool] = lambda _: True,
    shown: int | None = None,
) -> Difference:
    """What was otherwise at the second moment than at the first, at most `shown` of it, of the instances that at one of
    them ran a version that `runs` holds for. Both sides come whole: who only changed the version did not end."""
    before, after = (_told(*side) for side in (first, second))
    other = [
        pk
        for pk in before.keys() | after.keys()
        if before.get(pk) != after.get(pk)
        and any(runs(side[pk][1]) for side in (before, after) if pk in side)
    ]
    placed = AgentInstance.objects.select_related("template", "environment", "provider")
    rows = placed.filter(pk__in=other).order_by("name", "pk")[:shown]
    keys = {side[row.pk][1] for row in rows for side in (before, after) if row.pk in side}
    versions = AgentVersion.objects.select_related("template").in_bulk(keys)

    def side(told: Mapping[UUID, tuple[str, UUID, str]], pk: UUID) -> Side | None:
        if pk not in told:
            return None
        state, version, report = told[pk]
        return Side(state, versions[version], report)

    return Difference(
        len(other), tuple(Differs(row, side(before, row.pk), side(after, row.pk)) for row in rows)
    )


def _told(moment: Moment, rows: Sequence[Was]) -> dict[UUID, tuple[str, UUID, str]]:
    """State, version and report of each that was not retired."""
    live = [row for row in rows if row.state != InstanceState.RETIRED]
    said = _observations(moment, [row.instance_id for row in live]).values_list("instance_id", "state")
    reports = dict(said)
    return {row.instance_id: (row.state, row.version_id, reports.get(row.instance_id, "")) for row in live}


# one instance


@dataclass(frozen=True, slots=True)
class PastPage:
    """One instance at a moment: what it was, who answered for it, and what the apps above say of it then."""

    then: Then | None
    owners: tuple[User, ...]
    roles: tuple[RoleAssignment, ...]
    sections: tuple[PastSection, ...]
    later: InstanceInterval | None
    earlier: InstanceInterval | None


def past_page(instance: AgentInstance, moment: Moment, actor: User) -> PastPage:
    """For `actor`, who may see the instance."""
    rows = AgentInstance.objects.select_related("template", "environment", "provider").filter(pk=instance.pk)
    row = instances_at(moment, rows).exclude(then_id=None).first()
    then = seen_then(moment, [row])[0] if row is not None else None
    ports: Sequence[PastFact] = implementations("PAST_FACTS") if then is not None else ()
    said = (port.past(instance, then.version, moment.at, moment.known, actor) for port in ports if then)
    known = InstanceInterval.objects.filter(instance=instance, known_from__lte=moment.known)
    return PastPage(
        then=then,
        owners=owners_at(moment, instance.template),
        roles=assigned_at(moment, then, actor) if then is not None else (),
        sections=tuple(section for section in said if section is not None),
        later=known.filter(since__gt=moment.at).order_by("since", "-known_from", "-pk").first(),
        earlier=known.filter(since__lt=then.since).order_by("-since", "-known_from", "-pk").first()
        if then
        else None,
    )
