"""Writes of bearer secrets: issue, revoke, let end sooner."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from arm import changes, clock, crypto
from arm.errors import Conflict, Invalid, NotAllowed
from arm.grants import grant_models
from arm.models import ApiKey, Membership, Tenant, User, UserGrant
from arm.permissions import allowed, require
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

    Service and personal tokens act as `user`: whoever makes the key, or a service account that holds no right beyond
    theirs. Ingest and workload tokens act as nobody and get their reach from registry's key scope. NotAllowed for who
    comes with a token: one that has leaked would outlive its end in the tokens that it made.
    """
    if actor is not None:
        require(actor, Right.MANAGE_KEYS, tenant)
        if actor.kind == User.Kind.SERVICE or not changes.in_person():
            raise NotAllowed("A token issues no other; a person does that, signed in.")
    if kind in (ApiKey.Kind.SERVICE, ApiKey.Kind.PERSONAL) and user is None:
        raise Invalid("A service or personal token needs the account it acts as.")
    if actor is not None and user is not None and user != actor and user.kind != User.Kind.SERVICE:
        raise NotAllowed(f"A key acts as a service account or as who makes it; {user} makes their own.")
    if actor is not None and user is not None:
        _refuse_more(user, actor, tenant)
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


def _refuse_more(user: User, actor: User, tenant: Tenant) -> None:
    """NotAllowed where the account holds, or is going to hold, a right in the tenant that the actor does not hold on the
    same scope: the token would hand it over."""
    if user == actor or actor.is_superuser:
        return
    if user.is_superuser:
        raise NotAllowed(f"{user} administers the platform; you do not.")
    for model in grant_models():
        theirs = Q(user=user) if issubclass(model, UserGrant) else Q(group__user=user)
        lasting = Q(expires_at=None) | Q(expires_at__gt=clock.now())
        rows = model._default_manager.filter(theirs, lasting, tenant=tenant)
        for grant in rows.select_related("permission", "content_object"):
            right, scope = Right(grant.permission.codename), grant.content_object
            if not allowed(actor, right, scope):
                raise NotAllowed(
                    f"A token of {user} may {right.words} on {scope}, and you may not: ask somebody who may.",
                    right=right.value,
                    on=str(scope),
                )


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
