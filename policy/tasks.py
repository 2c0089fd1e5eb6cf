"""What happens by itself: approvals and requests for a stop expire and escalate, partitions are made ahead, old touches go."""

from datetime import timedelta
from uuid import UUID

from django.db import connection, connections

from arm import clock, tasks

from . import services

AHEAD, BEHIND = timedelta(days=14), timedelta(days=2)


def expire_approvals(*, tenant_id: UUID, **_: object) -> None:
    """Close what is past its time, escalate what waits too long."""
    services.expire_approvals(tenant_id=tenant_id)


def expire_restrictions(*, tenant_id: UUID, **_: object) -> None:
    """Close requests for a stop that nobody answered; on call hears of each by an incident."""
    services.expire_restrictions(tenant_id=tenant_id)


def expire_everywhere(**_: object) -> None:
    """Each minute, for every tenant."""
    tasks.each_tenant("policy.tasks.expire_approvals")
    tasks.each_tenant("policy.tasks.expire_restrictions")


def prepare_partitions(alias: str = "default") -> int:
    """Make the decisions' partitions around today; returns how many were missing."""
    today = clock.today()
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT policy_make_partitions(%s, %s)", [today - BEHIND, today + AHEAD])
        return int(cursor.fetchone()[0])


def tidy(**_: object) -> None:
    """Hourly: coming days's partitions, and touches that every decider has long seen."""
    prepare_partitions()
    with connection.cursor() as cursor:
        cursor.execute("SELECT policy_prune_touches()")
