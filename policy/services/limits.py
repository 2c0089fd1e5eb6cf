"""Counting limits: hand out slices that processes spend in memory, take back what they did not spend."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from arm import clock

from ..engine import LimitKey, Unit
from ..facts import Lease
from ..models import LimitLease, LimitUsage

LIFE = timedelta(seconds=60)
SLICES = 50
"""A process takes a fiftieth of a limit at once: few round trips, and little that another cannot use."""


@transaction.atomic
def reserve_limit(
    *,
    tenant_id: UUID,
    instance_id: UUID,
    key: LimitKey,
    most: Decimal,
    wanted: Decimal,
    window: str,
    holder: str,
) -> Lease:
    """A lease of at least `wanted`, as far as `most` goes in this window; amount 0 where it does not."""
    counter = {
        "instance_id": instance_id,
        "per": key.per.value,
        "unit": key.unit.value,
        "currency": key.currency,
        "window": window,
    }
    LimitUsage.objects.bulk_create([LimitUsage(tenant_id=tenant_id, **counter)], ignore_conflicts=True)
    usage = LimitUsage.objects.select_for_update().get(**counter)
    now = clock.now()
    left = most - usage.used
    if left <= 0 or left < wanted:
        return Lease(None, Decimal(0), now + timedelta(seconds=1))
    share = most / SLICES
    if key.unit != Unit.MONEY:
        share = Decimal(int(share))
    amount = min(left, max(wanted, share, Decimal(0 if key.unit == Unit.MONEY else 1)))
    usage.used += amount
    usage.updated_at = now
    usage.save(update_fields=["used", "updated_at"])
    lease = LimitLease.objects.create(
        tenant_id=tenant_id, usage=usage, holder=holder, amount=amount, taken_at=now, expires_at=now + LIFE
    )
    return Lease(lease.pk, amount, lease.expires_at)


@transaction.atomic
def settle_limit(*, lease_id: UUID, left: Decimal) -> None:
    """Close a lease; what is left of it may be handed out again. Closing twice changes nothing."""
    lease = LimitLease.objects.select_for_update().get(pk=lease_id)
    if lease.closed_at is not None:
        return
    returned = max(Decimal(0), min(left, lease.amount))
    lease.returned, lease.closed_at = returned, clock.now()
    lease.save(update_fields=["returned", "closed_at"])
    if returned:
        usage = LimitUsage.objects.select_for_update().get(pk=lease.usage_id)
        usage.used -= returned
        usage.save(update_fields=["used"])
