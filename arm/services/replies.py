"""Writes that bring a key of the caller's happen once: what they answered is kept for a day."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.apps import apps
from django.db import connection

from arm import clock, crypto
from arm.errors import Conflict, Invalid, NotAllowed, Problem
from arm.models import IdempotentReply, Tenant, User
from arm.permissions import Asked, held_anywhere, visible
from arm.rights import Right

KEPT: Final = timedelta(hours=24)
POINTER: Final = "/Idempotency-Key"
ANYWHERE: Final = ""
"""In place of a model, where a right was held on whatever there is."""


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

    `asked`: digest of the request. InProgress or KeyReused otherwise. Inside the request's transaction.
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
    return kept


def require_again(*, user: User, kept: IdempotentReply) -> None:
    """NotAllowed unless the caller still holds every right that the answer rests on (what is no more asks for none);
    ShownBefore where the answer is not kept."""
    if kept.rests_on is None:
        raise ShownBefore("This was done. Whether its answer is still yours to see cannot be told.")
    wanted: dict[tuple[str, str], list[str]] = {}
    for right, label, key in kept.rests_on:
        wanted.setdefault((right, label), []).append(key)
    anywhere = held_anywhere(user) if any(label == ANYWHERE for _, label in wanted) else frozenset()
    for (name, label), keys in wanted.items():
        if label == ANYWHERE:
            _refuse_unless(name in anywhere, Right(name))
            continue
        right, rows = Right(name), apps.get_model(label)._default_manager.filter(pk__in=keys)
        lost = rows.exclude(pk__in=visible(rows, user, right).values("pk")).first()
        _refuse_unless(lost is None, right)
    if kept.body is None:
        raise ShownBefore("This was done. Its answer is not kept; a secret is shown once.", **kept.headers)


def _refuse_unless(held: bool, right: Right) -> None:
    if not held:
        message = f"This was done. You may no longer {right.words}, so its answer is not given again."
        raise NotAllowed(message, right=right.value)


def remember(
    *,
    tenant: Tenant,
    user: User,
    key: str,
    asked: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes | None,
    rests_on: Iterable[Asked] = (),
) -> None:
    """Keep what the request answered, in the transaction of what it did, and the caller's rights that it rests on."""
    rights = sorted(
        {
            (one.right.value, one.model._meta.label if one.model else ANYWHERE, str(one.key))
            for one in rests_on
        }
    )
    IdempotentReply.objects.update_or_create(
        tenant=tenant,
        user=user,
        key_digest=_named(user, key),
        defaults={
            "asked_digest": asked,
            "status": status,
            "headers": dict(headers),
            "body": body,
            "rests_on": rights,
            "at": clock.now(),
        },
    )


def forget_replies(*, tenant_id: UUID) -> int:
    """Delete what is older than a day. Returns how many."""
    old = IdempotentReply.objects.filter(tenant_id=tenant_id, at__lte=clock.now() - KEPT)
    return old.delete()[0]


def _named(user: User, key: str) -> str:
    return crypto.digest(f"{user.pk} {key}".encode())
