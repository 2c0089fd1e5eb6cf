"""Who answers for agents, who would after them, and for which nobody does."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

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


def who_answers(tenant_id: UUID, names: Iterable[str]) -> tuple[dict[str, User], dict[str, str]]:
    """Of these user names: the people who can answer for an agent here, and of each other name why not, as a sentence.
    They are members, and people, and their account is open; of who is no member, nothing else is told."""
    wanted = set(names)
    held = Membership.objects.filter(tenant=tenant_id, active=True, user__username__in=wanted)
    members = {row.user.username: row.user for row in held.select_related("user")}
    why = {name: said for name in wanted if (said := _why_not(name, members.get(name)))}
    return {name: user for name, user in members.items() if name not in why}, why


def _why_not(name: str, member: User | None) -> str:
    if member is None:
        return f"There is no such member: {name[:80]}."
    if not member.is_active:
        return f"The account of {name[:80]} is closed."
    return "" if member.kind == User.Kind.PERSON else f"{name[:80]} is a machine; people answer for agents."


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
