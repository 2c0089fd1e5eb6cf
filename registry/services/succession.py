"""Who answers for an agent after its owner: successors in order, and what happens when somebody leaves."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from arm import changes, clock, tasks
from arm.errors import Problem
from arm.models import Membership, User
from arm.permissions import require
from arm.rights import Right

from ..models import AgentTemplate, Ownership, Successor
from .answering import hold_people, refuse_others
from .asking import require_reason
from .meanwhile import refuse_changed

MOST: Final = 20


@transaction.atomic
def set_successors(
    *,
    template: AgentTemplate,
    successors: Sequence[User],
    actor: User,
    reason: str,
    seen: Sequence[str] | None = None,
) -> AgentTemplate:
    """Exactly these people answer for the agent when one of its owners leaves, the first of them first; nobody, if empty.

    Invalid with a pointer for each who is named twice, or is no person with an open account who is a member.
    `seen`: the user names that the editor saw, in their order; ChangedMeanwhile where the line is another by now.
    """
    require(actor, Right.MANAGE_DIRECTORY, template)
    require_reason(reason)
    hold_people(template.tenant, successors)
    template = AgentTemplate.objects.select_for_update(no_key=True).get(pk=template.pk)
    refuse_others(template.tenant_id, successors, "successors", _problems(successors))
    before = _line(template)
    refuse_changed(None if seen is None else {"successors": list(seen)}, {"successors": before})
    after = [person.username for person in successors]
    if before == after:
        return template
    Successor.objects.filter(template=template, until=None).update(until=clock.now())
    Successor.objects.bulk_create(
        Successor(tenant_id=template.tenant_id, template=template, user=person, position=place)
        for place, person in enumerate(successors, 1)
    )
    changes.record(
        actor,
        "registry.template.successors_set",
        template,
        before={"successors": before},
        after={"successors": after},
        reason=reason,
    )
    return template


@transaction.atomic
def pass_on(*, member: Membership, actor: User, reason: str) -> list[AgentTemplate]:
    """What a person who leaves the tenant has answered for passes to the next successor; returns what nobody answers for
    now. Called in the transaction of the leaving, which was allowed already: it asks no right of its own."""
    who, here = member.user, {"tenant": member.tenant_id, "user": member.user, "until": None}
    owned = set(Ownership.objects.filter(**here).values_list("template", flat=True))
    in_line = set(Successor.objects.filter(**here).values_list("template", flat=True))
    rows = AgentTemplate.objects.select_for_update(no_key=True).filter(pk__in=owned | in_line).order_by("pk")
    templates = list(rows)
    for row in templates:
        if row.pk in in_line:
            _leave_line(row, who, actor, reason)
    return [row for row in templates if row.pk in owned and not _succeed(row, who, actor, reason)]


def _leave_line(template: AgentTemplate, leaver: User, actor: User, reason: str) -> None:
    before = _line(template)
    Successor.objects.filter(template=template, user=leaver, until=None).update(until=clock.now())
    changes.record(
        actor,
        "registry.template.successors_set",
        template,
        before={"successors": before},
        after={"successors": _line(template), "left": leaver.username},
        reason=reason,
    )


def _succeed(template: AgentTemplate, leaver: User, actor: User, reason: str) -> bool:
    """End the leaver's ownership and give it to the next in order. Whether somebody answers for the agent then."""
    now = clock.now()
    before = {"owners": _owners(template), "successors": _line(template)}
    Ownership.objects.filter(template=template, user=leaver, until=None).update(until=now)
    owning = Ownership.objects.filter(template=template, until=None)
    ready = _members(template, Successor.objects.filter(template=template, until=None).values("user"))
    line = Successor.objects.filter(template=template, until=None, user__in=ready)
    heir = line.exclude(user__in=owning.values("user")).select_related("user").order_by("position").first()
    if heir is not None:
        Successor.objects.filter(pk=heir.pk).update(until=now)
        Ownership.objects.create(tenant_id=template.tenant_id, template=template, user=heir.user, since=now)
    after: dict[str, Any] = {"owners": _owners(template), "successors": _line(template)}
    record = changes.record(
        actor,
        "registry.template.succeeded" if after["owners"] else "registry.template.orphaned",
        template,
        before=before,
        after=after
        | {"left": leaver.username, "heir": heir.user.username if heir else "", "since": clock.exactly(now)},
        reason=reason,
    )
    tasks.announce(
        record.verb, tenant_id=template.tenant_id, template_id=str(template.pk), change_id=str(record.pk)
    )
    return bool(after["owners"])


def _line(template: AgentTemplate) -> list[str]:
    """User names in their order."""
    rows = Successor.objects.filter(template=template, until=None).order_by("position")
    return list(rows.values_list("user__username", flat=True))


def _owners(template: AgentTemplate) -> list[str]:
    rows = Ownership.objects.filter(template=template, until=None)
    return sorted(rows.values_list("user__username", flat=True))


def _members(template: AgentTemplate, people: Any) -> list[UUID]:
    """Those of these people who can answer for something here: members, with an open account."""
    rows = Membership.objects.filter(
        tenant=template.tenant_id, active=True, user__in=people, user__is_active=True
    )
    return list(rows.values_list("user", flat=True))


def _problems(people: Sequence[User]) -> list[Problem]:
    found = [Problem(pointer=f"/successors/{MOST}", code="max_length", message=f"At most {MOST} successors.")]
    found = found if len(people) > MOST else []
    seen: set[UUID] = set()
    for place, person in enumerate(people):
        if person.pk in seen:
            message = f"{person} is named twice."
            found.append(Problem(pointer=f"/successors/{place}", code="unique", message=message))
        seen.add(person.pk)
    return found
