"""Writes that bring a key of the caller's happen once: what they answered is kept for a day."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import connection

from arm import clock, crypto
from arm.errors import Conflict, Invalid, Problem
from arm.models import IdempotentReply, Tenant, User

KEPT: Final = timedelta(hours=24)
POINTER: Final = "/Idempotency-Key"


class KeyReused(Invalid):
    """The key came before, with another request."""

    code = "idempotency_mismatch"


class InProgress(Conflict):
    """The first request with this key has not ended yet."""

    code = "idempotency_in_progress"


class ShownBefore(Conflict):
    """It was done, and its answer showed a secret."""

    code = "idempotency_shown_once"


def recall(*, tenant: Tenant, user: User, key: str, asked: str) -> IdempotentReply | None:
    """What this request of the caller's answered before; None: it is the first, and nobody else runs it meanwhile.

    `asked`: digest of the request. InProgress, KeyReused or ShownBefore otherwise. Inside the request's transaction.
    """
    named = _named(user, key)
    with connection.cursor() as cursor:
        lock = f"arm.reply {tenant.pk} {named}"
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
        (mine,) = cursor.fetchone()
    if not mine:
        raise InProgress("The first request with this key is still running. Ask again.", retry_after=1)
    kept = IdempotentReply.objects.filter(
        tenant=tenant, user=user, key_digest=named, at__gt=clock.now() - KEPT
    ).first()
    if kept is None:
        return None
    if kept.asked_digest != asked:
        message = "This key came before, with another request. A new request takes a new key."
        raise KeyReused(message, [Problem(pointer=POINTER, code="reused", message=message)])
    if kept.body is None:
        raise ShownBefore("This was done. Its answer is not kept; a secret is shown once.", **kept.headers)
    return kept


def remember(
    *,
    tenant: Tenant,
    user: User,
    key: str,
    asked: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes | None,
) -> None:
    """Keep what the request answered, in the transaction of what it did."""
    IdempotentReply.objects.update_or_create(
        tenant=tenant,
        user=user,
        key_digest=_named(user, key),
        defaults={
            "asked_digest": asked,
            "status": status,
            "headers": dict(headers),
            "body": body,
            "at": clock.now(),
        },
    )


def forget_replies(*, tenant_id: UUID) -> int:
    """Delete what is older than a day. Returns how many."""
    old = IdempotentReply.objects.filter(tenant_id=tenant_id, at__lte=clock.now() - KEPT)
    return old.delete()[0]


def _named(user: User, key: str) -> str:
    return crypto.digest(f"{user.pk} {key}".encode())
