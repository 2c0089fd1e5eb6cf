"""Writes of the core: members, role bindings, API keys, sign-in security."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model

from arm import changes, clock, crypto, logs
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import (
    ApiKey,
    GroupGrant,
    Membership,
    ProcessBeat,
    RoleBinding,
    SecurityEvent,
    Team,
    Tenant,
    User,
    UserGrant,
)
from arm.permissions import allowed, grant_models, require, scope_models, scope_of
from arm.rights import Right
from arm.roles import ROLES, Role, conflict

BOUND_BY_ADMINS = frozenset(name for name, role in ROLES.items() if not role.machine)
"""Roles that a holder of `role_bind` may hand out without holding their rights (the “bind” verb of RBAC)."""


@transaction.atomic
def add_member(*, tenant: Tenant, user: User, actor: User, reason: str) -> Membership:
    """Let a person or service account work in the tenant; a former member comes back."""
    require(actor, Right.MANAGE_TENANT, tenant)
    member, created = Membership.objects.get_or_create(tenant=tenant, user=user)
    if not created and member.active:
        raise Conflict(f"{user} is already a member of {tenant}.", id=member.typeid)
    member.active = True
    member.save(update_fields=["active"])
    changes.record(actor, "arm.member.added", member, after={"user": user.username}, reason=reason)
    return member


@transaction.atomic
def remove_member(*, member: Membership, actor: User, reason: str) -> None:
    """End a membership: all bindings of the person in this tenant end with it."""
    require(actor, Right.MANAGE_TENANT, member.tenant)
    if member.user_id == actor.pk:
        raise Conflict("You cannot remove yourself; ask another administrator.")
    for binding in RoleBinding.objects.filter(tenant=member.tenant, user=member.user, ended_at=None):
        _end(binding, actor, reason)
    member.active = False
    member.save(update_fields=["active"])
    changes.record(actor, "arm.member.removed", member, before={"user": member.user.username}, reason=reason)


@transaction.atomic
def create_team(*, tenant: Tenant, name: str, members: list[User], actor: User, reason: str) -> Team:
    """A group of members that roles can be bound to."""
    require(actor, Right.MANAGE_TENANT, tenant)
    group = Group.objects.create(name=f"{tenant.slug}/{name}")
    group.user_set.set(members)
    team = Team.objects.create(tenant=tenant, group=group, name=name)
    after = {"name": name, "members": sorted(m.username for m in members)}
    changes.record(actor, "arm.team.created", team, after=after, reason=reason)
    return team


@transaction.atomic
def bind(
    *,
    principal: User | Group,
    role: str,
    scope: Model,
    actor: User,
    reason: str,
    expires_at: datetime | None = None,
    not_before: datetime | None = None,
    risk_max: str = "",
) -> RoleBinding:
    """Give a principal a role on a scope. Never to yourself, never against separation of duties, never a right
    beyond your own unless the role is one that administrators hand out."""
    tenant = scope if isinstance(scope, Tenant) else scope.tenant  # type: ignore[attr-defined]
    require(actor, Right.BIND_ROLE, tenant)
    chosen = _role(role)
    _check_scope(scope)
    if not actor.is_superuser:
        if principal == actor or (
            isinstance(principal, Group) and actor.groups.filter(pk=principal.pk).exists()
        ):
            raise NotAllowed("You cannot bind a role to yourself; ask another administrator.")
        if role not in BOUND_BY_ADMINS:
            for right in chosen.rights:
                if not allowed(actor, right, scope):
                    raise NotAllowed(f"You cannot hand on “{right.value}”: you do not hold it on {scope}.")
    if isinstance(principal, User):
        if not Membership.objects.filter(tenant=tenant, user=principal, active=True).exists():
            raise Invalid(f"{principal} is not a member of {tenant}.")
        if chosen.machine != (principal.kind == User.Kind.SERVICE):
            raise Invalid("Machine roles are for service accounts, human roles for people.")
    if expires_at and expires_at <= clock.now():
        raise Invalid("The binding would already have expired.")
    mine = {"user": principal} if isinstance(principal, User) else {"group": principal}
    held = RoleBinding.objects.select_for_update().filter(tenant=tenant, ended_at=None, **mine)
    others = frozenset(held.exclude(role=role).values_list("role", flat=True))
    if isinstance(principal, User):
        others |= frozenset(
            RoleBinding.objects.filter(tenant=tenant, ended_at=None, group__user=principal)
            .exclude(role=role)
            .values_list("role", flat=True)
        )
    if problem := conflict(chosen, others):
        raise Conflict(problem, role=role, holds=sorted(others))
    binding = RoleBinding.objects.create(
        tenant=tenant,
        role=role,
        scope_kind=scope._meta.label_lower,
        scope_id=scope.pk,
        scope_label=str(scope)[:200],
        expires_at=expires_at,
        not_before=not_before,
        risk_max=risk_max,
        granted_by=actor,
        reason=reason,
        **mine,
    )
    _write_grants(binding, chosen, scope, mine)
    after = {"role": role, "principal": str(principal), "scope": str(scope), "expires_at": expires_at}
    changes.record(actor, "arm.role.bound", binding, after={**after, "risk_max": risk_max}, reason=reason)
    return binding


@transaction.atomic
def unbind(*, binding: RoleBinding, actor: User, reason: str) -> None:
    """End a binding now; its rights are gone with this transaction, the row stays."""
    require(actor, Right.BIND_ROLE, binding.tenant)
    binding = RoleBinding.objects.select_for_update().get(pk=binding.pk)
    if binding.ended_at is not None:
        raise Conflict("This binding has already ended.")
    _end(binding, actor, reason)


def _end(binding: RoleBinding, actor: User | None, reason: str) -> None:
    for model in grant_models():
        model._default_manager.filter(binding=binding).delete()
    binding.ended_at = clock.now()
    binding.save(update_fields=["ended_at"])
    changes.record(actor, "arm.role.unbound", binding, before={"role": binding.role}, reason=reason)


def _write_grants(binding: RoleBinding, role: Role, scope: Model, principal: dict[str, Any]) -> None:
    parent = UserGrant if "user" in principal else GroupGrant
    (model,) = (m for m in grant_models() if issubclass(m, parent) and scope_of(m) is type(scope))
    kind = ContentType.objects.get_for_model(type(scope))
    permissions = Permission.objects.filter(content_type=kind, codename__in=[r.value for r in role.rights])
    found = list(permissions)
    if len(found) != len(role.rights):
        raise LookupError(f"{type(scope).__name__} does not know every right of {role.name}; migrate first.")
    make: type[Any] = model
    model._default_manager.bulk_create(
        make(
            permission=permission,
            content_object=scope,
            tenant_id=binding.tenant_id,
            binding=binding,
            risk_max=binding.risk_max,
            not_before=binding.not_before,
            expires_at=binding.expires_at,
            **principal,
        )
        for permission in found
    )


def _role(name: str) -> Role:
    if name not in ROLES:
        raise Invalid(f"There is no role “{name}”. Roles: {', '.join(ROLES)}.")
    return ROLES[name]


def _check_scope(scope: Model) -> None:
    if type(scope) not in scope_models():
        names = ", ".join(sorted(m._meta.verbose_name.lower() for m in scope_models()))  # type: ignore[union-attr]
        raise Invalid(f"A role is bound on one of: {names}.")


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

    Service and personal tokens act as `user`; ingest and workload tokens get their reach from registry's key scope.
    """
    if actor is not None:
        require(actor, Right.MANAGE_KEYS, tenant)
    if kind in (ApiKey.Kind.SERVICE, ApiKey.Kind.PERSONAL) and user is None:
        raise Invalid("A service or personal token needs the account it acts as.")
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


def note_security(
    kind: SecurityEvent.Kind,
    label: str,
    *,
    user: User | None = None,
    tenant: Tenant | None = None,
    detail: dict[str, Any] | None = None,
) -> SecurityEvent:
    """A line of the security log: sign-ins (of no tenant), refusals, exports. `label` is what was typed or taken, at
    most 200 characters."""
    return SecurityEvent.objects.create(
        kind=kind,
        label=label[:200],
        user_id=user.pk if user else None,
        tenant_id=tenant.pk if tenant else None,
        request_id=logs.request_id.get(),
        detail=detail or {},
    )


def beat(*, name: str) -> None:
    """A background process says that it is alive."""
    ProcessBeat.objects.update_or_create(name=name, defaults={"beat_at": clock.now()})


def claim_schedule(*, name: str, minutes: int) -> bool:
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
