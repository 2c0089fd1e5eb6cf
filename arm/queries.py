"""Reads of the core that cross models or must look a credential up before its tenant is known."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from arm import clock, db
from arm.models import ApiKey, Membership, RoleBinding, Team, User


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


def acts(key: ApiKey) -> bool:
    """Whether the account that the key acts as may work in the key's tenant: it is open, and a member there.

    Asked in the key's tenant.
    """
    return (
        key.user is not None
        and key.user.is_active
        and Membership.objects.filter(tenant=key.tenant_id, user=key.user, active=True).exists()
    )


@dataclass(frozen=True, slots=True)
class Ends:
    """What a person has in a tenant by being its member: it ends with the membership."""

    bindings: list[RoleBinding]
    teams: list[Team]
    keys: list[ApiKey]


def what_ends(member: Membership) -> Ends:
    """The bindings, teams and keys in force that end with this membership."""
    mine = {"tenant_id": member.tenant_id}
    return Ends(
        list(RoleBinding.objects.filter(user=member.user_id, ended_at=None, **mine).order_by("pk")),
        list(Team.objects.filter(group__user=member.user_id, **mine).select_related("group").order_by("pk")),
        list(ApiKey.objects.filter(user=member.user_id, revoked_at=None, **mine).order_by("pk")),
    )


def account_named(username: str) -> User | None:
    """The account that this name signs in as; names are compared as they are stored."""
    return User.objects.filter(username=User.normalize_username(username.strip())).first()


def team_members(team: Team, *, inside: bool) -> QuerySet[User]:
    """The people in the team; or those of its tenant who could join it."""
    in_it = User.objects.filter(groups=team.group_id)
    if inside:
        return in_it.order_by("username")
    here = Membership.objects.filter(tenant=team.tenant_id, active=True).values("user")
    people = User.objects.filter(pk__in=here, kind=User.Kind.PERSON, is_active=True)
    return people.exclude(pk__in=in_it.values("pk")).order_by("username")


def sign_in_name(typed: str) -> str:
    """What was typed as the name that it would sign in as: failures are recorded and counted under this alone."""
    return str(User.normalize_username(typed.strip())).strip()[:200]


def sign_in_locked(typed: str, address: str | None) -> bool:
    """Whether too many sign-ins with this name have failed lately from this address (settings.SIGN_IN_TRIES in the
    window). From elsewhere the name may still be signed in with: nobody locks another person out."""
    since = clock.now() - timedelta(minutes=settings.SIGN_IN_WINDOW_MINUTES)
    return db.failed_sign_ins(sign_in_name(typed), address, since)[0] >= settings.SIGN_IN_TRIES


def sign_in_slow(typed: str) -> bool:
    """Whether the name is being guessed from many addresses: each further try then takes a second."""
    since = clock.now() - timedelta(minutes=settings.SIGN_IN_WINDOW_MINUTES)
    return db.failed_sign_ins(sign_in_name(typed), None, since)[1] >= 5 * settings.SIGN_IN_TRIES


def single_handed(tenant_id: UUID) -> bool:
    """Whether the tenant has only one person at work: separation of duties is then reduced, and recorded so."""
    people = Membership.objects.filter(tenant_id=tenant_id, active=True, user__is_active=True)
    return people.filter(user__kind=User.Kind.PERSON).count() == 1
