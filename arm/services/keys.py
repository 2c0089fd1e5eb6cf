"""Writes of bearer secrets: issue, revoke, let end sooner."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from arm import changes, clock, crypto
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ApiKey, Membership, Tenant, User
from arm.permissions import require
from arm.rights import Right


@dataclass(frozen=True, slots=True)
class Issued:
    """A key's row and its secret; the secret is shown once and stored nowhere."""

    key: ApiKey
    token: str


@transaction.atomic
def issue_key(
    *,
    tenant: Tenant,
    kind: ApiKey.Kind,
    name: str,
    actor: User | None,
    reason: str,
    user: User | None = None,
    days: int | None = 365,
) -> Issued:
    """A new bearer secret. `actor` None is the command line of somebody who owns the machine.

    Service and personal tokens act as `user`: a service account, or whoever makes the key. Ingest and workload tokens
    get their reach from registry's key scope.
    """
    if actor is not None:
        require(actor, Right.MANAGE_KEYS, tenant)
    if kind in (ApiKey.Kind.SERVICE, ApiKey.Kind.PERSONAL) and user is None:
        raise Invalid("A service or personal token needs the account it acts as.")
    if actor is not None and user is not None and user != actor and user.kind != User.Kind.SERVICE:
        raise NotAllowed(f"A key acts as a service account or as who makes it; {user} makes their own.")
    if user is not None and not Membership.objects.filter(tenant=tenant, user=user, active=True).exists():
        raise Invalid(f"{user} is not a member of {tenant}.")
    token = crypto.new_token(kind.value)
    key = ApiKey.objects.create(
        tenant=tenant,
        kind=kind,
        name=name,
        digest=crypto.token_digest(token),
        last4=token[-4:],
        user=user,
        created_by=actor,
        expires_at=clock.now() + timedelta(days=days) if days else None,
    )
    after = {"kind": key.get_kind_display(), "name": name, "last4": key.last4, "expires_at": key.expires_at}
    changes.record(actor, "arm.key.issued", key, after=after, reason=reason)
    return Issued(key, token)


@transaction.atomic
def revoke_key(*, key: ApiKey, actor: User | None, reason: str) -> ApiKey:
    """End a key at once. Revoking a revoked key changes nothing and is no error."""
    if actor is not None:
        require(actor, Right.MANAGE_KEYS, key.tenant)
    return end_key(key, actor, reason)


def end_key(key: ApiKey, actor: User | None, reason: str) -> ApiKey:
    """Who may do this is asked before."""
    key = ApiKey.objects.select_for_update().get(pk=key.pk)
    if key.revoked_at is None:
        key.revoked_at = clock.now()
        key.save(update_fields=["revoked_at"])
        changes.record(actor, "arm.key.revoked", key, before={"name": key.name}, reason=reason)
    return key


@transaction.atomic
def expire_key(*, key: ApiKey, at: datetime, actor: User, reason: str) -> ApiKey:
    """Let a key end at `at`, which may only be sooner than it would have: for a rotation without a gap."""
    require(actor, Right.MANAGE_KEYS, key.tenant)
    key = ApiKey.objects.select_for_update().get(pk=key.pk)
    if not key.live:
        raise Conflict(f"{key} is no longer in use.")
    if key.expires_at is not None and key.expires_at <= at:
        return key
    before, key.expires_at = key.expires_at, at
    key.save(update_fields=["expires_at"])
    changes.record(
        actor,
        "arm.key.shortened",
        key,
        before={"expires_at": before},
        after={"expires_at": at},
        reason=reason,
    )
    return key
