"""Writes that belong to no governance: the security log, signs of life, turns of the schedule."""

from datetime import timedelta
from typing import Any

from arm import clock, logs
from arm.models import ProcessBeat, SecurityEvent, Tenant, User


def note_security(
    kind: SecurityEvent.Kind,
    label: str,
    *,
    user: User | None = None,
    tenant: Tenant | None = None,
    detail: dict[str, Any] | None = None,
    address: str | None = None,
) -> SecurityEvent:
    """A line of the security log: sign-ins (of no tenant), refusals, exports. `label` is what was typed or taken, at
    most 200 characters."""
    return SecurityEvent.objects.create(
        kind=kind,
        label=label[:200],
        address=address,
        user_id=user.pk if user else None,
        tenant_id=tenant.pk if tenant else None,
        request_id=logs.request_id.get(),
        detail=detail or {},
    )


def beat(*, name: str) -> None:
    """A background process says that it is alive."""
    ProcessBeat.objects.update_or_create(name=name, defaults={"beat_at": clock.now()})


def claim_schedule(*, name: str, minutes: float) -> bool:
    """Whether this call is the one that may queue the schedule now; its next turn is `minutes` later."""
    now = clock.now()
    row, created = ProcessBeat.objects.select_for_update().get_or_create(
        name=f"schedule {name}"[:40], defaults={"beat_at": now}
    )
    if not created and now - row.beat_at < timedelta(minutes=minutes):
        return False
    row.beat_at = now
    row.save(update_fields=["beat_at"])
    return True
