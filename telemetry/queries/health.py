"""How a version does in some slots since a moment: calls that failed, incidents that are open."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from arm import clock
from registry.models import AgentInstance, AgentVersion, DeploymentSlot, RoleDefinition

from ..models import Event, Incident
from ..parsing import EventType, Status

WORK = (EventType.AGENT_RUN, EventType.MODEL_CALL, EventType.TOOL_CALL)


@dataclass(frozen=True, slots=True)
class Doing:
    """What came of the version's instances in the slots: units of work, and how many of them failed."""

    calls: int
    errors: int
    incidents: int


def doing(*, version: AgentVersion, slots: Iterable[DeploymentSlot], since: datetime) -> Doing:
    """Events are indexed by instance, and each query names its time: one partition or two are read."""
    instances: list[UUID] = list(
        AgentInstance.objects.filter(version=version, slot__in=list(slots)).values_list("pk", flat=True)
    )
    events = Event.objects.between(since, clock.now() + timedelta(minutes=15))
    counted: dict[str, Any] = (
        events.filter(instance__in=instances, version=version, type__in=WORK)
        .order_by()
        .aggregate(calls=Count("event_id"), errors=Count("event_id", filter=Q(status=Status.ERROR)))
    )
    # whenever it was opened: what goes wrong again is told by the incident that stands
    standing = Incident.objects.live().filter(version=version)
    about = standing.filter(Q(instance__in=instances) | Q(instance=None))
    return Doing(counted["calls"], counted["errors"], about.count())


ROLE_WINDOW = timedelta(days=1)
"""The window of a role's objectives."""
FEWEST = 20
"""Fewer runs say nothing of a rate."""


@dataclass(frozen=True, slots=True)
class Staff:
    """What came of the runs of a role's staff within the window: how many, how many failed, and how long 95 % of them took at
    most, in ms."""

    runs: int
    errors: int
    p95_ms: int | None


def staff_doing(role: RoleDefinition) -> Staff:
    """Of the instances that were given the role; runs that have ended."""
    crew = AgentInstance.objects.filter(tenant=role.tenant_id, role=role).values("pk")
    now = clock.now()
    runs = Event.objects.between(now - ROLE_WINDOW, now + timedelta(minutes=15)).filter(
        instance__in=list(crew.values_list("pk", flat=True)), type=EventType.AGENT_RUN
    )
    counted: dict[str, Any] = runs.order_by().aggregate(
        runs=Count("event_id"), errors=Count("event_id", filter=Q(status=Status.ERROR))
    )
    took = runs.exclude(duration_ms=None).order_by("duration_ms").values_list("duration_ms", flat=True)
    rank = -(-took.count() * 95 // 100)  # of those sorted, this one from 1 on is slower than 95 %
    p95 = took[rank - 1] if rank else None
    return Staff(counted["runs"], counted["errors"], p95)
