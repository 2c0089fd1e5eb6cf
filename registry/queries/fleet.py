"""The whole fleet in numbers: live instances by environment, by what ARM wants of them, and by what is heard."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from arm import clock
from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from ..lifecycle import InstanceState
from ..models import AgentInstance, Heartbeat
from .related import with_staleness

COLUMNS = (
    InstanceState.ACTIVE,
    InstanceState.READ_ONLY,
    InstanceState.PAUSED,
    InstanceState.DRAINING,
    InstanceState.QUARANTINED,
    InstanceState.PROVISIONING,
)
"""The live states, the most permissive first."""


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One environment, or the whole fleet: `states` and `heartbeats` count by value, `live` all of them."""

    slug: str
    name: str
    production: bool
    states: dict[str, int]
    heartbeats: dict[str, int]

    @property
    def live(self) -> int:
        return sum(self.states.values())

    @property
    def silent(self) -> int:
        return self.heartbeats[Heartbeat.LATE] + self.heartbeats[Heartbeat.NEVER]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Every environment that holds a live instance which the person may see, in channel order, and the sum."""

    rows: tuple[FleetRow, ...]
    total: FleetRow


def fleet(actor: User) -> Fleet:
    """The numbers of the fleet page, in two queries however large the fleet is."""
    now = clock.now()
    seen: QuerySet[AgentInstance] = visible(AgentInstance.objects.live(), actor, Right.READ_DIRECTORY)
    counted = (
        seen.with_heartbeat(now)  # type: ignore[attr-defined]
        .order_by()
        .values_list(
            "environment__position",
            "environment__slug",
            "environment__name",
            "environment__production",
            "state",
            "heard",
        )
        .annotate(n=Count("pk"))
    )
    found = sorted(counted)
    places = dict.fromkeys(row[1:4] for row in found)
    return Fleet(
        rows=tuple(
            _row(slug, name, production, (row for row in found if row[1] == slug))
            for slug, name, production in places
        ),
        total=_row("", "All", False, found),
    )


def _row(slug: str, name: str, production: bool, counted: Iterable[tuple[object, ...]]) -> FleetRow:
    states = {state.value: 0 for state in COLUMNS}
    heartbeats = {heard.value: 0 for heard in Heartbeat}
    for *_, state, heard, n in counted:
        states[str(state)] += int(str(n))
        if heard:
            heartbeats[str(heard)] += int(str(n))
    return FleetRow(slug, name, production, states, heartbeats)


def held_back(actor: User, shown: int) -> tuple[tuple[AgentInstance, bool], ...]:
    """Instances that something keeps from work, the latest stop first, each with whether it is silent."""
    at_rest = (InstanceState.QUARANTINED, InstanceState.PAUSED, InstanceState.READ_ONLY)
    rows: QuerySet[AgentInstance] = visible(
        AgentInstance.objects.for_list().filter(state__in=at_rest), actor, Right.READ_DIRECTORY
    )
    return with_staleness(rows.order_by("-state_since", "-pk")[:shown])
