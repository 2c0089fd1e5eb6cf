"""Who answers for agents, who would after them, and for which nobody does."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from arm.models import Membership, User

from ..models import AgentTemplate, Ownership, Successor


def ownerless(rows: QuerySet[Any], *, wanted: bool = True) -> QuerySet[Any]:
    """Those of these agents that no active member with an open account owns; not `wanted`: the others."""
    here = Membership.objects.filter(
        tenant=OuterRef("tenant"), user=OuterRef("user"), active=True, user__is_active=True
    )
    owned = Ownership.objects.filter(Exists(here), template=OuterRef("pk"), until=None)
    return rows.filter(~Exists(owned) if wanted else Exists(owned))


def is_ownerless(template: AgentTemplate) -> bool:
    return ownerless(AgentTemplate.objects.filter(pk=template.pk)).exists()


def successors(template: AgentTemplate) -> tuple[User, ...]:
    """Who would answer for the agent when an owner leaves, in order."""
    rows = Successor.objects.filter(template=template, until=None).select_related("user")
    return tuple(row.user for row in rows.order_by("position"))


def what_passes(member: Membership) -> list[tuple[AgentTemplate, User | None, bool]]:
    """(agent, who succeeds if anybody, whether somebody answers for it then), for what a member owns."""
    held = Ownership.objects.filter(tenant=member.tenant_id, user=member.user_id, until=None)
    found = []
    for row in held.select_related("template").order_by("template__name", "pk"):
        owning = set(
            Ownership.objects.filter(template=row.template, until=None)
            .exclude(user=member.user_id)
            .values_list("user", flat=True)
        )
        members = Membership.objects.filter(
            tenant=member.tenant_id, active=True, user__is_active=True
        ).values("user")
        line = Successor.objects.filter(template=row.template, until=None, user__in=members)
        heir = line.exclude(user__in=[*owning, member.user_id]).select_related("user").first()
        found.append((row.template, heir.user if heir else None, bool(heir or owning)))
    return found
