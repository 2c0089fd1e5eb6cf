"""Writes of who works in a tenant: members, people and machines, and the teams they form."""

from collections.abc import Sequence

from django.contrib.auth.models import Group
from django.db import transaction

from arm import changes
from arm.errors import Conflict, Invalid, NotAllowed, Problem
from arm.models import ApiKey, Membership, RoleBinding, Team, Tenant, User
from arm.permissions import require
from arm.ports import MemberEffect, implementations
from arm.queries import what_ends
from arm.rights import Right
from arm.roles import ROLES
from arm.services.accounts import Account, open_account
from arm.services.keys import Issued, end_key, issue_key
from arm.services.roles import end, lock_members, refuse_conflict


@transaction.atomic
def add_member(*, tenant: Tenant, user: User, actor: User, reason: str) -> Membership:
    """Let a person or service account work in the tenant; a former member comes back, without what they had."""
    require(actor, Right.MANAGE_TENANT, tenant)
    return _add(tenant, user, actor, reason)


@transaction.atomic
def add_new_member(*, tenant: Tenant, account: Account, actor: User, reason: str) -> tuple[Membership, str]:
    """Open an account and let it work in the tenant. Returns the membership and the one-time password, which is
    stored nowhere ('' for a service account: only tokens act as it). Invalid names what is wrong of the account."""
    require(actor, Right.MANAGE_TENANT, tenant)
    user, password = open_account(account, actor, reason)
    return _add(tenant, user, actor, reason, account="opened", kind=str(user.kind)), password


def _add(tenant: Tenant, user: User, actor: User, reason: str, **facts: str) -> Membership:
    if not user.is_active:
        raise Conflict(
            f"The account {user.username} is closed; an administrator of the platform can reopen it."
        )
    member, created = Membership.objects.get_or_create(tenant=tenant, user=user)
    if not created and member.active:
        raise Conflict(f"{user} is already a member of {tenant}.", id=member.typeid)
    member.active = True
    member.save(update_fields=["active"])
    after = {"user": user.username, **facts}
    changes.record(actor, "arm.member.added", member, after=after, reason=reason)
    return member


@transaction.atomic
def remove_member(*, member: Membership, actor: User, reason: str) -> None:
    """End a membership, and with it what the person has in this tenant: bindings, teams, the keys that act as
    them, and what else settings.MEMBER_EFFECTS know of. Their account and their other tenants stay."""
    require(actor, Right.MANAGE_TENANT, member.tenant)
    if member.user_id == actor.pk:
        raise Conflict("You cannot remove yourself; ask another administrator.")
    rows = Membership.objects.select_for_update(of=("self",)).select_related("user", "tenant")
    member = rows.get(pk=member.pk)
    if not member.active:
        raise Conflict(f"{member.user} is no longer a member of {member.tenant}.")
    ends = what_ends(member)
    for binding in ends.bindings:
        end(binding, actor, reason)
    for team in ends.teams:
        _leave(team, member.user, actor, reason)
    for key in ends.keys:
        end_key(key, actor, reason)
    member.active = False
    member.save(update_fields=["active"])
    effects: Sequence[MemberEffect] = implementations("MEMBER_EFFECTS")
    for effect in effects:
        effect.left(member=member, actor=actor, reason=reason)
    changes.record(actor, "arm.member.removed", member, before={"user": member.user.username}, reason=reason)


@transaction.atomic
def create_team(*, tenant: Tenant, name: str, members: list[User], actor: User, reason: str) -> Team:
    """A group of members that roles can be bound to."""
    require(actor, Right.MANAGE_TENANT, tenant)
    if Team.objects.filter(tenant=tenant, name=name).exists():
        message = f"There is a team “{name}” already."
        raise Conflict(message, errors=[Problem(pointer="/name", code="unique", message=message)])
    for person in members:
        _require_member(person, tenant)
    group = Group.objects.create(name=f"{tenant.slug}/{name}")
    group.user_set.set(members)
    team = Team.objects.create(tenant=tenant, group=group, name=name)
    after = {"name": name, "members": sorted(m.username for m in members)}
    changes.record(actor, "arm.team.created", team, after=after, reason=reason)
    return team


@transaction.atomic
def join_team(*, team: Team, user: User, actor: User, reason: str) -> Team:
    """Take a member into the team. Whoever takes somebody into a team that holds roles hands these on: the right to
    bind is needed, nobody does it for themselves, and separation of duties is judged for each role of the team."""
    require(actor, Right.MANAGE_TENANT, team.tenant)
    team = _locked(team)
    _require_member(user, team.tenant)
    if team.group.user_set.filter(pk=user.pk).exists():
        raise Conflict(f"{user} is in {team} already.")
    lock_members(team.tenant, [user])
    roles = set(RoleBinding.objects.filter(group=team.group, ended_at=None).values_list("role", flat=True))
    if roles:
        require(actor, Right.BIND_ROLE, team.tenant)
        if user == actor and not actor.is_superuser:
            raise NotAllowed(
                "This team holds roles, and you cannot give yourself one; ask another administrator."
            )
    for name in sorted(roles):
        refuse_conflict(ROLES[name], user, team.tenant)
    team.group.user_set.add(user)
    after = {"user": user.username, "roles": sorted(roles)}
    changes.record(actor, "arm.team.joined", team, after=after, reason=reason)
    return team


@transaction.atomic
def leave_team(*, team: Team, user: User, actor: User, reason: str) -> Team:
    """The person is no longer in the team; what the team holds is no longer theirs."""
    require(actor, Right.MANAGE_TENANT, team.tenant)
    team = _locked(team)
    if not team.group.user_set.filter(pk=user.pk).exists():
        raise Conflict(f"{user} is not in {team}.")
    _leave(team, user, actor, reason)
    return team


def _leave(team: Team, user: User, actor: User, reason: str) -> None:
    team.group.user_set.remove(user)
    changes.record(actor, "arm.team.left", team, before={"user": user.username}, reason=reason)


def _locked(team: Team) -> Team:
    return Team.objects.select_for_update(of=("self",)).select_related("group", "tenant").get(pk=team.pk)


def _require_member(user: User, tenant: Tenant) -> None:
    if user.kind == User.Kind.SERVICE:
        raise Invalid("Teams are of people; a service account gets its machine role by itself.")
    if not Membership.objects.filter(tenant=tenant, user=user, active=True).exists():
        raise Invalid(f"{user} is not a member of {tenant}.")


@transaction.atomic
def issue_service_token(*, member: Membership, name: str, days: int, actor: User, reason: str) -> Issued:
    """A bearer token that acts as a service account in this tenant. Conflict for a person: nobody is handed a key
    that acts as somebody else."""
    if member.user.kind != User.Kind.SERVICE:
        raise Conflict(f"{member.user} is a person; service tokens act as service accounts.")
    return issue_key(
        tenant=member.tenant,
        kind=ApiKey.Kind.SERVICE,
        name=name,
        actor=actor,
        reason=reason,
        user=member.user,
        days=days,
    )
