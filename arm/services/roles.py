"""Writes of role bindings: who may do what, on which scope, until when."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model, Q

from arm import changes, clock, db
from arm.errors import Conflict, Invalid, NotAllowed
from arm.grants import grant_models, scope_models, scope_of
from arm.models import GroupGrant, Membership, RoleBinding, Team, Tenant, User, UserGrant
from arm.permissions import allowed, require
from arm.rights import Right
from arm.roles import ROLES, Role, conflict

BOUND_BY_ADMINS = frozenset(name for name, role in ROLES.items() if not role.machine)
"""Roles that a holder of `role_bind` may hand out without holding their rights (the “bind” verb of RBAC)."""


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
    """Give a principal a role on a scope. Never to yourself, never against separation of duties (of a team: of any
    of its members), never a right beyond your own unless the role is one that administrators hand out."""
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
    if expires_at and expires_at <= clock.now():
        raise Invalid("The binding would already have expired.")
    mine = {"user": principal} if isinstance(principal, User) else {"group": principal}
    for person in _holders(principal, chosen, tenant):
        refuse_conflict(chosen, person, tenant)
    held = RoleBinding.objects.select_for_update().filter(tenant=tenant, ended_at=None, **mine)
    others = frozenset(held.exclude(role=role).values_list("role", flat=True))
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
    _write_grants(binding, [right.value for right in chosen.rights], scope)
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
    end(binding, actor, reason)


def end(binding: RoleBinding, actor: User | None, reason: str) -> None:
    """The grants go, the row stays; who may do this is asked before."""
    for model in grant_models():
        model._default_manager.filter(binding=binding).delete()
    binding.ended_at = clock.now()
    binding.save(update_fields=["ended_at"])
    changes.record(actor, "arm.role.unbound", binding, before={"role": binding.role}, reason=reason)


def lock_members(tenant: Tenant, people: Iterable[User]) -> None:
    """What a person holds is judged by one transaction at a time; taken in order, after the team's own lock."""
    rows = Membership.objects.select_for_update().filter(tenant=tenant, user__in=list(people))
    list(rows.order_by("pk"))


def refuse_conflict(role: Role, person: User, tenant: Tenant) -> None:
    """Conflict where what the person holds in the tenant, by themselves or by their teams, forbids this role."""
    if person.is_superuser and "platform_admin" in role.never_with:
        raise Conflict(f"{person}: {role.label} and platform administrator may not be one principal.")
    theirs = RoleBinding.objects.filter(Q(user=person) | Q(group__user=person), tenant=tenant, ended_at=None)
    others = frozenset(theirs.exclude(role=role.name).values_list("role", flat=True))
    if problem := conflict(role, others):
        raise Conflict(f"{person}: {problem}", role=role.name, holds=sorted(others))


def _holders(principal: User | Group, role: Role, tenant: Tenant) -> list[User]:
    """The accounts that would hold the role, each a member of the kind that may, locked."""
    if isinstance(principal, User):
        if not Membership.objects.filter(tenant=tenant, user=principal, active=True).exists():
            raise Invalid(f"{principal} is not a member of {tenant}.")
        if role.machine != (principal.kind == User.Kind.SERVICE):
            raise Invalid("Machine roles are for service accounts, human roles for people.")
        people = [principal]
    else:
        team = Team.objects.select_for_update(of=("self",)).filter(tenant=tenant, group=principal).first()
        if team is None:
            raise Invalid(f"{principal} is no team of {tenant}.")
        if role.machine:
            raise Invalid("Machine roles are for service accounts, teams are of people.")
        people = list(User.objects.filter(groups=principal).order_by("pk"))
    lock_members(tenant, people)
    return people


def renew_bindings() -> int:
    """Give every binding in force exactly the rights that its role has in this version of ARM, each change recorded.

    Part of `manage.py prepare`: a role that learned a right opens it for those who hold the role already. Returns how
    many bindings changed.
    """
    return sum(_renewed(tenant_id) for tenant_id in db.all_tenants())


def _renewed(tenant_id: UUID) -> int:
    changed = 0
    with db.tenants([tenant_id]):
        held: dict[UUID, set[str]] = defaultdict(set)
        for model in grant_models():
            rows = model._default_manager.filter(tenant=tenant_id).order_by()
            for binding_id, codename in rows.values_list("binding", "permission__codename"):
                held[binding_id].add(codename)
        for found in RoleBinding.objects.filter(ended_at=None, role__in=ROLES).order_by("pk"):
            wanted = {right.value for right in ROLES[found.role].rights}
            if wanted == held[found.pk]:
                continue
            # Looked at again under its lock: somebody may have ended it, or somebody else renewed it.
            binding = RoleBinding.objects.select_for_update().filter(pk=found.pk, ended_at=None).first()
            if binding is not None and (scope := _scope_of(binding)) is not None:
                model = _grants_of(binding, scope)
                rows = model._default_manager.filter(binding=binding)
                has = set(rows.values_list("permission__codename", flat=True))
                if wanted == has:
                    continue
                model._default_manager.filter(binding=binding, permission__codename__in=has - wanted).delete()
                _write_grants(binding, wanted - has, scope)
                before, after = {"rights": sorted(has - wanted)}, {"rights": sorted(wanted - has)}
                reason = f"The role {binding.role} holds other rights in this version."
                changes.record(None, "arm.role.renewed", binding, before=before, after=after, reason=reason)
                changed += 1
    return changed


def _scope_of(binding: RoleBinding) -> Model | None:
    """What a binding is on; None where it is gone."""
    kinds = {model._meta.label_lower: model for model in scope_models()}
    model = kinds.get(binding.scope_kind)
    return None if model is None else model._default_manager.filter(pk=binding.scope_id).first()


def _grants_of(binding: RoleBinding, scope: Model) -> type[Any]:
    """The table that holds the rights of this binding."""
    parent = UserGrant if binding.user_id else GroupGrant
    (model,) = (m for m in grant_models() if issubclass(m, parent) and scope_of(m) is type(scope))
    return model


def _write_grants(binding: RoleBinding, rights: Iterable[str], scope: Model) -> None:
    wanted = set(rights)
    kind = ContentType.objects.get_for_model(type(scope))
    found = list(Permission.objects.filter(content_type=kind, codename__in=wanted))
    if len(found) != len(wanted):
        raise LookupError(
            f"{type(scope).__name__} does not know every right of {binding.role}; migrate first."
        )
    make = _grants_of(binding, scope)
    mine = {"user_id": binding.user_id} if binding.user_id else {"group_id": binding.group_id}
    make._default_manager.bulk_create(
        make(
            permission=permission,
            content_object=scope,
            tenant_id=binding.tenant_id,
            binding=binding,
            risk_max=binding.risk_max,
            not_before=binding.not_before,
            expires_at=binding.expires_at,
            **mine,
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
