"""Scheduled work of the federation. Nothing here is needed for a stop to reach a provider."""

from typing import Any
from uuid import UUID

from arm.tasks import each_tenant

from . import services


def look_everywhere(**_: Any) -> str:
    """For the schedule: look after every tenant."""
    return f"{each_tenant('federation.tasks.look_after')} tenants"


def look_after(*, tenant_id: UUID, **_: Any) -> str:
    """Overdue proofs, stops that ended by time, and what has expired."""
    ended = services.follow_stops(tenant_id=tenant_id)
    late = services.sweep_overdue(tenant_id=tenant_id)
    return f"{late} overdue, {ended} ended, {services.tidy(tenant_id=tenant_id)} tidied"
