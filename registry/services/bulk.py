"""Many instances at once: judged row by row, rights asked once per scope, stored together or not at all."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model, QuerySet

from arm import clock, ids
from arm.changes import Change
from arm.errors import Invalid, NotAllowed, TooLarge
from arm.inserting import insert_all
from arm.models import Tenant, User
from arm.permissions import note, visible
from arm.rights import Right

from ..gates.open_places import why_not_at
from ..gates.placed import open_to_adopt
from ..models import (
    AgentInstance,
    AgentVersion,
    Environment,
    Provider,
    RoleDefinition,
)
from ..protocol.rows import MOST, InstanceRow, Version
from .asking import require_reason
from .judging import UNKNOWN, Judged
from .known_rows import judge_known
from .moving import tell_all
from .placing import why_not_placed
from .row_slots import slot_of, slots_named


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
    places = by_slug(Environment, tenant, {row.environment for row in rows}, actor)
    providers = by_slug(Provider, tenant, {row.provider for row in rows}, actor)
    roles = by_slug(RoleDefinition, tenant, {row.role for row in rows if row.role}, actor)
    slots = slots_named(tenant, rows, actor)
    found = {version.template for version in versions.values()}
    may = {
        held.pk
        for scopes in (found, places.values(), providers.values())
        for held in held_of(list(scopes), actor, Right.PROVISION_INSTANCE)
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
SELECT given.id, %(tenant)s, '' FROM unnest(%(instances)s::uuid[]) AS given (id)
"""
INTERVALS = """
INSERT INTO registry_instanceinterval (id, tenant_id, instance_id, state, version_id, since, known_from)
SELECT given.id, %(tenant)s, given.instance_id, %(state)s, given.version_id, %(since)s, %(since)s
FROM unnest(%(ids)s::uuid[], %(instances)s::uuid[], %(versions)s::uuid[]) AS given (id, instance_id, version_id)
"""


def store_instances(made: Sequence[AgentInstance], actor: User, reason: str) -> None:
    """Write what `judge_instances` made of one tenant, at one moment and in one state, with a change record each. For
    services that have judged, in a transaction.

    A fleet that was there before ARM is taken over as it runs, and each of it is marked (ADR 59)."""
    if not made:
        return
    beside = [row for row in made if row.environment.production and row.slot is None]
    open_here = open_to_adopt(beside)
    for row in beside:
        row.adopted = (row.template_id, row.environment_id, row.version_id) in open_here
    insert_all(made)
    beside_each: dict[
        str, str | UUID | datetime
    ] = {  # made by the database: as objects they would cost as much as the instances
        "tenant": made[0].tenant_id,
        "state": made[0].state,
        "since": made[0].state_since,
        "ids": _array(ids.uuid7() for _ in made),
        "instances": _array(row.pk for row in made),
        "versions": _array(row.version_id for row in made),
    }
    with connection.cursor() as cursor:
        cursor.execute(STATUSES, beside_each)
        cursor.execute(INTERVALS, beside_each)
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


def _array(keys: Iterable[UUID]) -> str:
    """As PostgreSQL reads an array; a list would be quoted key by key."""
    return f"{{{','.join(map(str, keys))}}}"


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


def by_slug(model: type[Any], tenant: Tenant, slugs: set[str], actor: User) -> dict[str, Any]:
    """Rows of that model which the actor may see, by their short names."""
    rows: QuerySet[Any] = model._default_manager.filter(tenant=tenant, slug__in=slugs)
    return {row.slug: row for row in visible(rows, actor, Right.READ_DIRECTORY)}


def held_of(rows: Sequence[Model], actor: User, right: Right) -> list[Model]:
    """Those of the rows, all of one model, on which the actor holds the right, which is noted."""
    if not rows:
        return []
    model = type(rows[0])
    found = list(visible(model._default_manager.filter(pk__in=[row.pk for row in rows]), actor, right))
    note(actor, right, found)
    return found
