"""Many templates or instances at once: judged row by row, rights asked once per scope, stored together or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model, Prefetch, QuerySet

from arm import changes, clock, ids
from arm.changes import Change
from arm.errors import Invalid, NotAllowed, TooLarge
from arm.inserting import insert_all
from arm.models import Tenant, User
from arm.permissions import allowed, note, visible
from arm.rights import Right, Risk

from ..gates.open_places import why_not_at
from ..gates.placed import open_to_adopt
from ..models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    Environment,
    Ownership,
    Project,
    Provider,
    RoleDefinition,
)
from ..protocol.rows import MOST, InstanceRow, TemplateRow, Version
from ..queries import who_answers
from .answering import in_turn
from .asking import require_reason
from .judging import UNKNOWN, Judged
from .known_rows import judge_known
from .moving import tell_all
from .placing import why_not_placed
from .row_slots import slot_of, slots_named
from .templates import clean_tags, set_owners, update_template

MATTER = ("description", "intended_use", "out_of_scope", "risk", "tags", "cost_center")


def refuse_many(count: int) -> None:
    """TooLarge beyond what one transaction takes."""
    if count > MOST:
        raise TooLarge(f"{count:,} rows; at most {MOST:,} come at once. Send the rest in another request.")


def refuse_wrong(judged: Judged, total: int) -> None:
    """Invalid, naming every wrong row; NotAllowed where rights are all that is missing."""
    if not judged.problems:
        return
    message = f"{judged.bad:,} of {total:,} rows are wrong; nothing is stored."
    if all(problem["code"] == "not_allowed" for problem in judged.problems):
        raise NotAllowed(message, errors=judged.problems)
    raise Invalid(message, judged.problems, wrong_rows=judged.bad)


# --- instances -----------------------------------------------------------------------------------------------


@transaction.atomic
def provision_instances(
    *, tenant: Tenant, rows: Sequence[InstanceRow], actor: User, reason: str, dry_run: bool = False
) -> list[AgentInstance]:
    """A new instance in Provisioning for every row, or Invalid with a pointer for everything wrong and none at all.

    `dry_run`: the same judgement, and nothing stored. TooLarge beyond 10,000 rows.
    """
    require_reason(reason)
    refuse_many(len(rows))
    judged = judge_instances(tenant, rows, actor)
    refuse_wrong(judged, len(rows))
    if not dry_run:
        store_instances(judged.create, actor, reason)
    made: list[AgentInstance] = judged.create
    return made


def judge_instances(tenant: Tenant, rows: Sequence[InstanceRow], actor: User) -> Judged:
    """What each row would make, by rows that the actor may see and rights that the actor holds, in a few queries. A row
    with the `id` of an instance says what that is: nothing is made of it, and it is wrong where it says otherwise."""
    judged = Judged()
    judge_known(judged, tenant, [row for row in rows if row.id is not None], actor)
    rows = [row for row in rows if row.id is None]
    versions = _versions(tenant, [row.version for row in rows], actor)
    places = _by_slug(Environment, tenant, {row.environment for row in rows}, actor)
    providers = _by_slug(Provider, tenant, {row.provider for row in rows}, actor)
    roles = _by_slug(RoleDefinition, tenant, {row.role for row in rows if row.role}, actor)
    slots = slots_named(tenant, rows, actor)
    found = {version.template for version in versions.values()}
    may = {
        held.pk
        for scopes in (found, places.values(), providers.values())
        for held in _held(list(scopes), actor, Right.PROVISION_INSTANCE)
    }
    now = clock.now()
    shut = {slug: said for slug, one in providers.items() if (said := why_not_at(one))}
    for row in rows:
        before = len(judged.problems)
        version, place = versions.get(row.version), places.get(row.environment)
        provider, role = providers.get(row.provider), roles.get(row.role)
        for member, held in (("version", version), ("environment", place), ("provider", provider)):
            if held is None:
                judged.wrong(row.at, member, "unknown", UNKNOWN)
        if row.role and role is None:
            judged.wrong(row.at, "role", "unknown", UNKNOWN)
        slot = slots.get(slot_of(row)) if row.slot is not None else None
        if row.slot is not None and slot is None:
            judged.wrong(row.at, "slot", "unknown", UNKNOWN)
        if version is None or place is None or provider is None or (row.role and role is None):
            judged.bad += 1
            continue
        shut_here = shut.get(row.provider, "")
        for wrong in why_not_placed(
            version=version, environment=place, provider=provider, slot=slot, role=role, shut=shut_here
        ):
            judged.wrong(row.at, *wrong)
        if not may & {version.template_id, place.pk, provider.pk}:
            message = f"You may not provision instance: {version.template} or {place} or {provider}."
            judged.wrong(row.at, "", "not_allowed", message)
        if len(judged.problems) > before:
            judged.bad += 1
            continue
        judged.outcomes[row.at] = "create"
        role = role or (slot.role if slot else None)
        made = AgentInstance(
            tenant_id=tenant.pk,
            version_id=version.pk,
            template_id=version.template_id,
            environment_id=place.pk,
            provider_id=provider.pk,
            slot_id=slot.pk if slot else None,
            role_id=role.pk if role else None,
            name=row.name,
            cost_center=row.cost_center or (role.cost_center if role else "") or version.template.cost_center,
            labels=dict(row.labels),
            state_since=now,
            created_at=now,
        )
        # as assigning each would have left it, without asking six descriptors ten thousand times
        made._state.fields_cache = {
            "version": version,
            "template": version.template,
            "environment": place,
            "provider": provider,
            "slot": slot,
            "role": role,
        }
        judged.create.append(made)
    return judged


STATUSES = """
INSERT INTO registry_instancestatus (instance_id, tenant_id, state)
SELECT id, tenant_id, '' FROM registry_agentinstance WHERE id = ANY(%s)
"""
INTERVALS = """
INSERT INTO registry_instanceinterval (id, tenant_id, instance_id, state, version_id, since, known_from)
SELECT given.id, made.tenant_id, made.id, made.state, made.version_id, made.state_since, made.state_since
FROM unnest(%s::uuid[], %s::uuid[]) AS given (id, instance_id)
JOIN registry_agentinstance made ON made.id = given.instance_id
"""


def store_instances(made: Sequence[AgentInstance], actor: User, reason: str) -> None:
    """Write what `judge_instances` made, with a change record each. For services that have judged, in a transaction.

    A fleet that was there before ARM is taken over as it runs, and each of it is marked (ADR 59)."""
    if not made:
        return
    beside = [row for row in made if row.environment.production and row.slot is None]
    open_here = open_to_adopt(beside)
    for row in beside:
        row.adopted = (row.template_id, row.environment_id, row.version_id) in open_here
    insert_all(made)
    keys = [row.pk for row in made]
    with (
        connection.cursor() as cursor
    ):  # by the database: as objects these rows would cost as much as the instances
        cursor.execute(STATUSES, [keys])
        cursor.execute(INTERVALS, [[ids.uuid7() for _ in made], keys])
    after = [
        Change(
            row,
            after={
                "version": row.version.typeid,
                "environment": row.environment.slug,
                "provider": row.provider.slug,
                "slot": row.slot.typeid if row.slot else "",
                "role": row.role.slug if row.role else "",
                "state": row.state,
                **({"adopted": True} if row.adopted else {}),
            },
        )
        for row in made
    ]
    tell_all("registry.instance.provisioned", after, made, actor, reason)


def _versions(tenant: Tenant, named: Iterable[Version], actor: User) -> dict[Version, AgentVersion]:
    keys = {one for one in named if isinstance(one, UUID)}
    numbered = {one for one in named if not isinstance(one, UUID)}
    rows = AgentVersion.objects.filter(tenant=tenant).select_related("template")
    seen = visible(rows, actor, Right.READ_DIRECTORY)
    found: dict[Version, AgentVersion] = {row.pk: row for row in seen.filter(pk__in=keys)}
    if numbered:
        slugs, numbers = {slug for slug, _ in numbered}, {number for _, number in numbered}
        for row in seen.filter(template__slug__in=slugs, number__in=numbers):
            found[row.template.slug, row.number] = row
    return found


def _by_slug(model: type[Any], tenant: Tenant, slugs: set[str], actor: User) -> dict[str, Any]:
    rows: QuerySet[Any] = model._default_manager.filter(tenant=tenant, slug__in=slugs)
    return {row.slug: row for row in visible(rows, actor, Right.READ_DIRECTORY)}


def _held(rows: Sequence[Model], actor: User, right: Right) -> list[Model]:
    if not rows:
        return []
    model = type(rows[0])
    found = list(visible(model._default_manager.filter(pk__in=[row.pk for row in rows]), actor, right))
    note(actor, right, found)
    return found


# --- templates -----------------------------------------------------------------------------------------------


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
    projects = _by_slug(Project, tenant, {row.project for row in rows if row.project}, actor)
    may_create = allowed(actor, Right.CREATE_VERSION, tenant)
    may = {
        right: {held.pk for held in _held(list(taken.values()), actor, right)}
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
