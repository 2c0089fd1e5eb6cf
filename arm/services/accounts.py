"""Writes of accounts: opened, closed, given a one-time password, made the platform's administrators.

An account belongs to no tenant. What happens to it is in the security log, and in the change records of every tenant
that it works in.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction

from arm import changes, db
from arm.errors import Conflict, Invalid, NotAllowed, Problem
from arm.models import Membership, RoleBinding, SecurityEvent, User
from arm.ports import MemberEffect, implementations
from arm.roles import ROLES
from arm.services.signs import note_security


@dataclass(frozen=True, slots=True)
class Account:
    """What an account starts with."""

    username: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    kind: str = User.Kind.PERSON


def open_account(account: Account, actor: User, reason: str) -> tuple[User, str]:
    """The account and its one-time password ('' for a service account). Invalid names every wrong member. Who may do
    this is asked before."""
    user = User(
        username=User.normalize_username(account.username.strip()),
        first_name=account.first_name,
        last_name=account.last_name,
        email=User.objects.normalize_email(account.email),
        kind=account.kind,
    )
    password = ""
    if user.kind == User.Kind.SERVICE:
        user.set_unusable_password()
    else:
        password = _one_time(user)
    try:
        user.full_clean()
    except ValidationError as wrong:
        raise Invalid("The account cannot be opened.", _problems(wrong)) from wrong
    user.save(force_insert=True)
    _tell(user, "opened", actor, reason)
    return user, password


@transaction.atomic
def create_account(*, account: Account, actor: User, reason: str) -> tuple[User, str]:
    """An account that works in no tenant yet, by an administrator of the platform; as `open_account`."""
    _require_platform(actor)
    return open_account(account, actor, reason)


@transaction.atomic
def close_account(*, user: User, actor: User, reason: str) -> User:
    """Nobody signs in or calls as this account any more, in any tenant, until it is reopened. What ends with that in each
    of its tenants, settings.MEMBER_EFFECTS know."""
    user = _change(user, actor, reason, "closed", _close)
    effects: Sequence[MemberEffect] = implementations("MEMBER_EFFECTS")
    for tenant_id in db.tenants_of(user.pk):
        with db.tenants([tenant_id]):
            member = Membership.objects.select_related("user", "tenant").get(user=user)
            for effect in effects:
                effect.closed(member=member, actor=actor, reason=reason)
    return user


@transaction.atomic
def reopen_account(*, user: User, actor: User, reason: str) -> User:
    """The account may be used again; its memberships are as they were."""
    return _change(user, actor, reason, "reopened", _reopen)


@transaction.atomic
def reset_password(*, user: User, actor: User, reason: str) -> str:
    """A one-time password, returned and stored nowhere; every session of the person ends."""
    passwords: list[str] = []
    _change(user, actor, reason, "password reset", lambda row, _: passwords.append(_reset(row)))
    return passwords[0]


@transaction.atomic
def make_platform_admin(*, user: User, actor: User, reason: str) -> User:
    """The person administers the whole installation. Conflict for a machine, and for who holds a role against it."""
    return _change(user, actor, reason, "made platform administrator", _make)


@transaction.atomic
def unmake_platform_admin(*, user: User, actor: User, reason: str) -> User:
    """The person is an account like any other again. Never oneself, so one administrator always stays."""
    return _change(user, actor, reason, "no longer platform administrator", _unmake)


def _change(user: User, actor: User, reason: str, verb: str, change: Callable[[User, User], object]) -> User:
    _require_platform(actor)
    user = User.objects.select_for_update().get(pk=user.pk)
    change(user, actor)
    user.save(update_fields=["is_active", "is_superuser", "password", "must_change_password"])
    _tell(user, verb, actor, reason)
    return user


def _close(user: User, actor: User) -> None:
    if user.pk == actor.pk:
        raise Conflict("You cannot close your own account; ask another administrator.")
    if not user.is_active:
        raise Conflict(f"The account {user.username} is closed already.")
    user.is_active = False


def _reopen(user: User, actor: User) -> None:
    if user.is_active:
        raise Conflict(f"The account {user.username} is open already.")
    user.is_active = True


def _reset(user: User) -> str:
    if user.kind == User.Kind.SERVICE:
        raise Conflict("A service account has no password; tokens act as it.")
    return _one_time(user)


def _make(user: User, actor: User) -> None:
    if user.is_superuser:
        raise Conflict(f"{user} administers the platform already.")
    if user.kind == User.Kind.SERVICE:
        raise Conflict("A service account administers nothing.")
    if not user.is_active:
        raise Conflict(f"The account {user.username} is closed.")
    for tenant_id in db.tenants_of(user.pk):
        with db.tenants([tenant_id]):
            held = RoleBinding.objects.filter(user=user, ended_at=None) | RoleBinding.objects.filter(
                group__user=user, ended_at=None
            )
            for name in held.values_list("role", flat=True):
                if name == "auditor" or "platform_admin" in ROLES[name].never_with:
                    raise Conflict(
                        f"{ROLES[name].label} and platform administrator may not be one principal."
                    )
    user.is_superuser = True


def _unmake(user: User, actor: User) -> None:
    if user.pk == actor.pk:
        raise Conflict("You cannot take this from yourself; ask another administrator.")
    if not user.is_superuser:
        raise Conflict(f"{user} does not administer the platform.")
    user.is_superuser = False


def _one_time(user: User) -> str:
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.must_change_password = True
    return password


def _require_platform(actor: User) -> None:
    if not (actor.is_superuser and actor.is_active):
        raise NotAllowed("Accounts are the business of the platform's administrators.")


def _tell(user: User, verb: str, actor: User, reason: str) -> None:
    facts = {"verb": verb, "by": actor.username, "reason": reason}
    note_security(SecurityEvent.Kind.ACCOUNT_CHANGED, user.username, user=user, detail=facts)
    for tenant_id in db.tenants_of(user.pk):
        with db.tenants([tenant_id]):
            member = Membership.objects.get(user=user)
            said = {"user": user.username, "account": verb}
            changes.record(actor, "arm.account.changed", member, after=said, reason=reason)


def _problems(wrong: ValidationError) -> list[Problem]:
    return [
        Problem(pointer="" if name == "__all__" else f"/{name}", code="invalid", message=message)
        for name, messages in wrong.message_dict.items()
        for message in messages
    ]
