"""Reads of the core that cross models or must look a credential up before its tenant is known."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

from arm import clock, db
from arm.models import ApiKey, Membership, SecurityEvent, User


def key_by_digest(digest: bytes) -> ApiKey | None:
    """The key with this SHA-256, whichever tenant it belongs to (found by hash only, through a definer
    function that answers with the tenant)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT arm_tenant_of_key(%s)", [digest])
        tenant_id = cursor.fetchone()[0]
    if tenant_id is None:
        return None
    with db.tenants([tenant_id]):
        return ApiKey.objects.select_related("user", "tenant").filter(digest=digest).first()


def sign_in_locked(username: str) -> bool:
    """Whether too many sign-ins with this name have failed lately (settings.SIGN_IN_TRIES in the window)."""
    since = clock.now() - timedelta(minutes=settings.SIGN_IN_WINDOW_MINUTES)
    recent = SecurityEvent.objects.filter(label=username[:200], at__gte=since)
    last_success = (
        recent.filter(kind=SecurityEvent.Kind.SIGNED_IN).order_by("-at").values_list("at", flat=True).first()
    )
    failed = recent.filter(kind=SecurityEvent.Kind.SIGN_IN_FAILED)
    if last_success:
        failed = failed.filter(at__gt=last_success)
    return failed.count() >= settings.SIGN_IN_TRIES


def single_handed(tenant_id: UUID) -> bool:
    """Whether the tenant has only one person at work: separation of duties is then reduced, and recorded so."""
    people = Membership.objects.filter(tenant_id=tenant_id, active=True, user__is_active=True)
    return people.filter(user__kind=User.Kind.PERSON).count() == 1
