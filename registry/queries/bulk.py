"""Rows for acts on many: all that a list's filters name, and the people who can own an agent."""

from uuid import UUID

from django.db.models import Q, QuerySet

from arm.errors import Invalid
from arm.listing import Listing
from arm.models import Membership, Tenant, User
from arm.permissions import visible
from arm.rights import Right

from ..models import BulkRun


def rows_of_list(found: Listing, query: str, actor: User, tenant: Tenant, most: int) -> list[UUID]:
    """The keys of every row that the list shows this person for the question; Invalid beyond `most`, and for a
    question that the list does not know: it would name more rows than were meant."""
    rows, problems = found.asked(query, actor, tenant)
    if problems:
        raise Invalid(" ".join(problem["message"] for problem in problems), problems)
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[: most + 1])
    if len(keys) > most:
        message = f"More than {most:,} rows match. Narrow the filter, or choose rows on the page."
        raise Invalid(message, [{"pointer": "/rows", "code": "too_many", "message": message}])
    return keys


def runs_seen(actor: User, audited: QuerySet[BulkRun] | None = None) -> QuerySet[BulkRun]:
    """One's own acts, and everybody's for who reads the changes. `audited`: these, where they have been asked for."""
    if audited is None:
        audited = visible(BulkRun.objects.all(), actor, Right.READ_AUDIT)
    return BulkRun.objects.filter(Q(actor=actor) | Q(pk__in=audited.values("pk")))


def people_of(tenant: Tenant | UUID) -> QuerySet[User]:
    """Members who can answer for an agent: people with an open account."""
    members = Membership.objects.filter(tenant=tenant, active=True).values("user")
    return User.objects.filter(pk__in=members, is_active=True, kind=User.Kind.PERSON).order_by("username")
