"""Templates: the agents as people speak of them, with their owners."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from arm import changes, clock
from arm.errors import Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import require
from arm.rights import Right, Risk

from ..models import AgentTemplate, Ownership, Project
from .answering import hold_people, refuse_others
from .asking import Duplicate, require_reason
from .meanwhile import refuse_changed

MAX_TAGS = 32


@transaction.atomic
def register_template(
    *,
    tenant: Tenant,
    slug: str,
    name: str,
    actor: User,
    reason: str,
    description: str = "",
    intended_use: str = "",
    out_of_scope: str = "",
    risk: Risk = Risk.MEDIUM,
    tags: Sequence[str] = (),
    project: Project | None = None,
    cost_center: str = "",
    owners: Sequence[User] = (),
) -> AgentTemplate:
    """A new agent in the directory; who registers it owns it unless others are named. Duplicate for a taken slug; Invalid
    with a pointer for each owner who is no person with an open account and a member, the actor among them."""
    require(actor, Right.CREATE_VERSION, tenant)
    require_reason(reason)
    people = list(dict.fromkeys(owners or [actor]))
    hold_people(tenant, people)
    refuse_others(tenant.pk, people, "owners", named=bool(owners))
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    if taken := AgentTemplate.objects.filter(tenant=tenant, slug=slug).first():
        raise Duplicate(f"There is already an agent “{slug}”.", taken)
    template = AgentTemplate.objects.create(
        tenant=tenant,
        slug=slug,
        name=name,
        description=description,
        intended_use=intended_use,
        out_of_scope=out_of_scope,
        risk=risk,
        tags=clean_tags(tags),
        project=project,
        cost_center=cost_center or (project.cost_center if project else "") or tenant.cost_center,
    )
    now = clock.now()
    _own(template, people, now)
    after = {"slug": slug, "name": name, "risk": risk, "tags": template.tags, "owners": _names(people)}
    after |= {"since": clock.exactly(now)}
    changes.record(actor, "registry.template.registered", template, after=after, reason=reason)
    return template


@transaction.atomic
def update_template(*, template: AgentTemplate, actor: User, reason: str, **values: Any) -> AgentTemplate:
    """Change what describes the agent: name, description, intended_use, out_of_scope, tags, project, cost_center.

    Its risk class decides who may do what, so `risk` needs the right to manage the directory.
    """
    require(actor, Right.CREATE_VERSION, template)
    if "risk" in values:
        require(actor, Right.MANAGE_DIRECTORY, template)
    require_reason(reason)
    if unknown := values.keys() - DESCRIBING:
        raise TypeError(f"update_template() does not change {', '.join(sorted(unknown))}")
    template = AgentTemplate.objects.select_for_update().get(pk=template.pk)
    if "tags" in values:
        values["tags"] = clean_tags(values["tags"])
    changed = {name: value for name, value in values.items() if getattr(template, name) != value}
    if not changed:
        return template
    before = {name: _shown(getattr(template, name)) for name in changed}
    for name, value in changed.items():
        setattr(template, name, value)
    template.save(update_fields=list(changed))
    after = {name: _shown(value) for name, value in changed.items()}
    changes.record(actor, "registry.template.updated", template, before=before, after=after, reason=reason)
    return template


DESCRIBING = frozenset(
    {"name", "description", "intended_use", "out_of_scope", "risk", "tags", "project", "cost_center"}
)


@transaction.atomic
def set_owners(
    *,
    template: AgentTemplate,
    owners: Sequence[User],
    actor: User,
    reason: str,
    seen: Collection[str] | None = None,
) -> AgentTemplate:
    """Exactly these people answer for the agent from now on; at least one. Invalid with a pointer for each who is no person
    with an open account who is a member. `seen`: the user names of the owners that the editor saw; ChangedMeanwhile where
    others own it by now."""
    require(actor, Right.MANAGE_DIRECTORY, template)
    require_reason(reason)
    if not owners:
        raise Invalid(
            "An agent has an owner.", [Problem(pointer="/owners", code="required", message="Name one.")]
        )
    hold_people(template.tenant, owners)
    template = AgentTemplate.objects.select_for_update(no_key=True).get(pk=template.pk)
    rows = Ownership.objects.filter(template=template, until=None)
    held = {row.user_id: row for row in rows.select_related("user")}
    before = _names(row.user for row in held.values())
    refuse_changed(None if seen is None else {"owners": sorted(seen)}, {"owners": before})
    kept = {person.pk for person in owners}
    if kept == held.keys():
        return template
    refuse_others(template.tenant_id, owners, "owners")
    now = clock.now()  # whoever looks at this very moment finds an owner
    ended = [row.pk for user_id, row in held.items() if user_id not in kept]
    Ownership.objects.filter(pk__in=ended).update(until=now)
    _own(template, [person for person in dict.fromkeys(owners) if person.pk not in held], now)
    changes.record(
        actor,
        "registry.template.owned",
        template,
        before={"owners": before},
        after={"owners": _names(dict.fromkeys(owners)), "since": clock.exactly(now)},
        reason=reason,
    )
    return template


def _own(template: AgentTemplate, people: Sequence[User], since: datetime) -> None:
    Ownership.objects.bulk_create(
        Ownership(tenant_id=template.tenant_id, template=template, user=person, since=since)
        for person in people
    )


def _names(people: Iterable[User]) -> list[str]:
    return sorted(person.username for person in people)


def clean_tags(tags: Sequence[str]) -> list[str]:
    """Lower case, each once, in order. Invalid for too many or too long ones."""
    cleaned = sorted({tag.strip().lower() for tag in tags if tag.strip()})
    if len(cleaned) > MAX_TAGS or any(len(tag) > 60 for tag in cleaned):
        message = f"At most {MAX_TAGS} tags of at most 60 characters."
        raise Invalid(message, [Problem(pointer="/tags", code="too_many", message=message)])
    return cleaned


def _shown(value: Any) -> Any:
    return value.slug if isinstance(value, Project) else value
