"""What time alone does: proofs that do not come, stops that end by themselves, and what has expired."""

from datetime import timedelta
from uuid import UUID

from django.db import transaction

from arm import clock, ports

from ..models import AccessToken, Assertion, Command, Snapshot
from .orders import decide, drifted

KEPT = timedelta(days=1)


@transaction.atomic
def sweep_overdue(*, tenant_id: UUID) -> int:
    """Open an incident for every restriction that was not proven in time, once each. Returns how many."""
    now = clock.now()
    rows = Command.objects.open().filter(
        tenant=tenant_id, restrictive=True, enforce_by__lte=now, overdue_at=None
    )
    late = list(rows.select_for_update(skip_locked=True, of=("self",)).select_related("instance", "provider"))
    for command in late:
        heard = "acknowledged" if command.acked_at else "delivered" if command.delivered_at else "not fetched"
        ports.incidents().open(
            tenant_id=tenant_id,
            kind="enforcement_failure",
            severity="s2",
            title=f"{command.provider} has not proven in time: {command.instance} {command.to_state}",
            subject_kind="registry.agentinstance",
            subject_id=command.instance_id,
            facts={"command": command.typeid, "decided_at": str(command.decided_at), "heard": heard},
        )
        command.overdue_at = now
        command.save(update_fields=["overdue_at"])
    return len(late)


@transaction.atomic
def follow_stops(*, tenant_id: UUID) -> int:
    """Tell providers of stops that have ended by time. Returns how many instances that were."""
    return len(decide(instances=drifted(tenant_id), actor=None, reason_code="stop_ended"))


@transaction.atomic
def tidy(*, tenant_id: UUID) -> int:
    """Delete what has expired: used assertions, ended tokens, pages of old inventories."""
    now = clock.now()
    gone = Assertion.objects.filter(tenant=tenant_id, ends_at__lt=now).delete()[0]
    gone += AccessToken.objects.filter(tenant=tenant_id, expires_at__lt=now - KEPT).delete()[0]
    gone += Snapshot.objects.filter(tenant=tenant_id, opened_at__lt=now - 7 * KEPT).delete()[0]
    return gone
