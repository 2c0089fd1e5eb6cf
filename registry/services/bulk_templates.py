"""Many agents at once: judged row by row, rights asked once per scope, stored or changed together or not at all."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Prefetch

from arm import changes, clock
from arm.changes import Change
from arm.inserting import insert_all
from arm.models import Tenant, User
from arm.permissions import allowed
from arm.rights import Right, Risk

from ..models import AgentTemplate, Ownership, Project
from ..protocol.rows import TemplateRow
from ..queries import who_answers
from .answering import in_turn
from .asking import require_reason
from .bulk import by_slug, held_of, refuse_many, refuse_wrong
from .judging import UNKNOWN, Judged
from .templates import clean_tags, set_owners, update_template

MATTER = ("description", "intended_use", "out_of_scope", "risk", "tags", "cost_center")


@transaction.atomic
def register_templates(
    *,
    tenant: Tenant,
    rows: Sequence[TemplateRow],
    actor: User,
    reason: str,
    dry_run: bool = False,
    update: bool = False,
) -> Judged:
    """An agent for every row, or Invalid with a pointer for everything wrong and none at all.

    A short name that is taken is wrong, unless `update`: then what the row says of that agent is changed, by the same
    services and rights as one at a time. TooLarge beyond 10,000 rows.
    """
    require_reason(reason)
    refuse_many(len(rows))
    in_turn(tenant, rows, actor)
    judged = judge_templates(tenant, rows, actor, update=update)
    refuse_wrong(judged, len(rows))
    if not dry_run:
        store_templates(judged, actor, reason)
    return judged


def judge_templates(tenant: Tenant, rows: Sequence[TemplateRow], actor: User, *, update: bool) -> Judged:
    """What each row would make or change."""
    judged = Judged()
    names = {name for row in rows for name in row.owners or ()}
    people, why = who_answers(tenant.pk, {*names, actor.username})
    now = Prefetch("ownerships", Ownership.objects.filter(until=None).select_related("user"), to_attr="owned")
    taken = {
        held.slug: held
        for held in AgentTemplate.objects.filter(tenant=tenant, slug__in={row.slug for row in rows})
        .select_related("tenant", "project")
        .prefetch_related(now)
    }
    projects = by_slug(Project, tenant, {row.project for row in rows if row.project}, actor)
    may_create = allowed(actor, Right.CREATE_VERSION, tenant)
    may = {
        right: {held.pk for held in held_of(list(taken.values()), actor, right)}
        for right in (Right.READ_DIRECTORY, Right.CREATE_VERSION, Right.MANAGE_DIRECTORY)
    }
    for row in rows:
        before = len(judged.problems)
        held = taken.get(row.slug)
        seen = held is not None and held.pk in may[Right.READ_DIRECTORY]
        owned = {own.user.username for own in held.owned} if held and seen else set()
        named = list(dict.fromkeys(row.owners or ()))
        if held is None and not named:
            named = [actor.username]
            if said := why.get(actor.username):
                judged.wrong(row.at, "owners", "required", f"Name who answers for it. {said}")
        others = bool(row.owners) and set(named) != owned  # the same may stay, who left among them
        for name in [name for name in named if name in why] if others else ():
            judged.wrong(row.at, "owners", "unknown", why[name])
        owners = [people[name] for name in named if name in people]
        values: dict[str, Any] = {}
        project = projects.get(row.project or "")
        if update and held and seen and held.project and held.project.slug == row.project:
            project = held.project  # stays, whoever may see it
        if row.project and project is None:
            judged.wrong(row.at, "project", "unknown", UNKNOWN)
        if not seen and not may_create:  # whether somebody else's agent has the name is not theirs to know
            judged.wrong(row.at, "", "not_allowed", f"You may not create version: {tenant}.")
        elif held is None:
            pass
        elif not update or not seen:
            judged.wrong(row.at, "slug", "duplicate", f"There is already an agent “{row.slug}”.")
        else:
            values = _changes(row, held, project)
            owners = owners if others else []
            _require_change(judged, row, held, values, owners, may)
        if len(judged.problems) > before:
            judged.bad += 1
        elif held is None:
            judged.create.append((_new(tenant, row, project), owners))
            judged.outcomes[row.at] = "create"
        elif values or owners:
            judged.update.append((held, values, owners))
            judged.outcomes[row.at] = "update"
        else:
            judged.outcomes[row.at] = "same"
    return judged


def _new(tenant: Tenant, row: TemplateRow, project: Project | None) -> AgentTemplate:
    return AgentTemplate(
        tenant=tenant,
        slug=row.slug,
        name=row.name,
        description=row.description or "",
        intended_use=row.intended_use or "",
        out_of_scope=row.out_of_scope or "",
        risk=row.risk or Risk.MEDIUM,
        tags=clean_tags(row.tags or ()),
        project=project,
        cost_center=row.cost_center or (project.cost_center if project else "") or tenant.cost_center,
    )


def _changes(row: TemplateRow, held: AgentTemplate, project: Project | None) -> dict[str, Any]:
    """What the row says otherwise than the agent is; what it does not say stays, and so do blanks around a text."""
    said: dict[str, Any] = {"name": row.name}
    for name in MATTER:
        if (value := getattr(row, name)) is not None:
            said[name] = clean_tags(value) if name == "tags" else value
    if row.project is not None:
        said["project"] = project
    return {name: value for name, value in said.items() if _bare(getattr(held, name)) != value}


def _bare(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _require_change(
    judged: Judged,
    row: TemplateRow,
    held: AgentTemplate,
    values: Mapping[str, Any],
    owners: Sequence[User],
    may: Mapping[Right, set[UUID]],
) -> None:
    needed = {Right.CREATE_VERSION: bool(values), Right.MANAGE_DIRECTORY: "risk" in values or bool(owners)}
    for right, asked in needed.items():
        if asked and held.pk not in may[right]:
            judged.wrong(row.at, "", "not_allowed", f"You may not {right.words}: {held}.")


def store_templates(judged: Judged, actor: User, reason: str) -> None:
    """Write what `judge_templates` found. For services that have judged, in the transaction that holds the tenant."""
    now = clock.now()
    insert_all([made for made, _ in judged.create])
    insert_all(
        [
            Ownership(tenant_id=made.tenant_id, template=made, user=person, since=now)
            for made, owners in judged.create
            for person in owners
        ]
    )
    changes.record_all(
        actor,
        "registry.template.registered",
        (
            Change(
                made,
                after={
                    "slug": made.slug,
                    "name": made.name,
                    "risk": made.risk,
                    "tags": made.tags,
                    "owners": sorted(person.username for person in owners),
                    "since": clock.exactly(now),
                },
            )
            for made, owners in judged.create
        ),
        reason=reason,
    )
    for held, values, owners in judged.update:
        if values:
            update_template(template=held, actor=actor, reason=reason, **values)
        if owners:
            seen = [row.user.username for row in held.owned]  # type: ignore[attr-defined]
            set_owners(template=held, owners=owners, actor=actor, reason=reason, seen=seen)
