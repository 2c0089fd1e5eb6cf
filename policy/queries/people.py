"""Who may decide what: the roles a person holds now, and the people who hold a right on a scope."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from arm import clock
from arm.models import RoleBinding, Team, User
from arm.permissions import chain
from arm.rights import Right
from arm.roles import ROLES

SHOWN = 8


def bindings_now(tenant_id: UUID) -> QuerySet[RoleBinding]:
    """The role bindings of a tenant that count at this moment."""
    now = clock.now()
    return RoleBinding.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now),
        Q(not_before=None) | Q(not_before__lte=now),
        tenant_id=tenant_id,
        ended_at=None,
    )


def roles_of(person: User, tenant_id: UUID) -> frozenset[str]:
    """The roles that a person holds anywhere in the tenant, by themselves or by a team."""
    mine = bindings_now(tenant_id).filter(Q(user=person) | Q(group__user=person))
    return frozenset(mine.values_list("role", flat=True))


def holders(
    right: Right, subject: Model, tenant_id: UUID, *, without: Iterable[UUID] = (), team: Team | None = None
) -> tuple[str, ...]:
    """Names of people whose roles give them this right on the subject or above it, of one team where it is named; at most
    eight of them."""
    roles = [role.name for role in ROLES.values() if right in role.rights and not role.machine]
    above = {tenant_id}
    for path, _ in chain(type(subject)):
        found: object = subject
        for part in path.split("__"):
            found = getattr(found, part, None)
        above.add(found.pk if isinstance(found, Model) else found)  # type: ignore[arg-type]
    held = bindings_now(tenant_id).filter(role__in=roles, scope_id__in=[each for each in above if each])
    people = User.objects.filter(
        Q(pk__in=held.values("user")) | Q(groups__in=held.values("group")),
        is_active=True,
        kind=User.Kind.PERSON,
    ).exclude(pk__in=list(without))
    if team is not None:
        people = people.filter(pk__in=User.objects.filter(groups=team.group_id).values("pk"))
    return tuple(str(person) for person in people.distinct().order_by("username")[:SHOWN])
