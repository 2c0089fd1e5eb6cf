"""A directory of files becomes what the registry holds: by the services of each thing, all of it or nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from django.db import transaction

from arm.errors import Invalid, Problem
from arm.models import Tenant, User

from ..models import AgentTemplate, DeploymentSlot, Environment, Project, Provider, RoleDefinition
from ..protocol.files import Item
from ..protocol.rows import TemplateRow, of_rows, read_templates
from .answering import in_turn
from .asking import require_reason
from .bulk_templates import judge_templates, store_templates
from .file_versions import settle_versions
from .settling import Line, named, settle_environment, settle_order, settle_project, settle_role, shown, tried
from .slots import create_slot


@transaction.atomic
def apply_files(*, tenant: Tenant, items: Sequence[Item], actor: User, reason: str) -> list[Line]:
    """Make what is missing and change what is otherwise, in the order environments, projects, roles, agents,
    versions, slots. What
    the files do not name stays as it is. Invalid with `file#/place` for everything that cannot be done, and then nothing
    is."""
    require_reason(reason)
    lines: list[Line] = []
    problems: list[Problem] = []
    of: dict[str, list[Item]] = {}
    for item in items:
        of.setdefault(item.kind, []).append(item)
    for kind, act in EACH.items():
        if kind == "slot":  # agents are made in bulk, before their versions
            lines += _templates(tenant, of.get("template", []), actor, reason, problems)
            lines += settle_versions(tenant, of.get("version", []), actor, reason, problems)
        for item in of.get(kind, ()):
            lines += tried(item, problems, partial(act, tenant, item, actor, reason))
        if kind == "environment" and not problems:
            lines = _merged(lines, settle_order(tenant, of.get(kind, []), actor, reason, problems))
    if problems:
        raise Invalid("Nothing is applied.", problems)
    return lines


def _merged(lines: list[Line], moved: Sequence[Line]) -> list[Line]:
    """One line for each environment: one that is made or changed and also takes another place is not told twice."""
    found = {line.where: line for line in lines}
    for line in moved:
        before = found[line.where]
        verb = "change" if before.verb == "same" else before.verb
        fields = (*before.fields, *line.fields) if verb == "change" else before.fields
        found[line.where] = replace(before, verb=verb, fields=fields)
    return list(found.values())


def _templates(
    tenant: Tenant, items: Sequence[Item], actor: User, reason: str, problems: list[Problem]
) -> list[Line]:
    if not items:
        return []
    read = read_templates([item.body for item in items])
    in_turn(tenant, read.rows, actor)
    judged = judge_templates(tenant, read.rows, actor, update=True)
    for at, member, problem in of_rows([*read.problems, *judged.problems]):
        where = f"{items[at].where}/{member}" if member else items[at].where
        problems.append(Problem(pointer=where, code=problem["code"], message=problem["message"]))
    if problems:
        return []
    changed = {held.slug: _fields(held, values, owners) for held, values, owners in judged.update}
    words = {"create": "create", "update": "change", "same": "same"}
    lines = [
        Line(
            words[judged.outcomes[row.at]],
            "template",
            row.slug,
            items[row.at].where,
            changed.get(row.slug, ()),
        )
        for row in _in_order(read.rows)
    ]
    store_templates(judged, actor, reason)
    return lines


def _in_order(rows: Sequence[TemplateRow]) -> list[TemplateRow]:
    return sorted(rows, key=lambda row: row.at)


def _fields(
    held: AgentTemplate, values: Mapping[str, Any], owners: Sequence[User]
) -> tuple[tuple[str, str, str], ...]:
    found = [(name, _word(getattr(held, name)), _word(value)) for name, value in values.items()]
    if owners:
        now = sorted(own.user.username for own in held.owned)  # type: ignore[attr-defined]
        found.append(("owners", ", ".join(now), ", ".join(sorted(person.username for person in owners))))
    return tuple(found)


def _word(value: Any) -> str:
    return value.slug if isinstance(value, Project) else shown(value)


def _slot(tenant: Tenant, item: Item, actor: User, reason: str) -> Line:
    place = named(Environment, tenant, "environment", item.body["environment"], actor)
    role = named(RoleDefinition, tenant, "role", item.body["role"], actor)
    provider = named(Provider, tenant, "provider", item.body["provider"], actor)
    ordinal = item.body.get("ordinal", 1)
    name = f"{role.slug}@{place.slug}/{provider.slug}#{ordinal}"
    rows = DeploymentSlot.objects.filter(environment=place, role=role, provider=provider)
    if rows.filter(ordinal=ordinal).exists():
        return Line("same", item.kind, name, item.where)
    create_slot(environment=place, role=role, provider=provider, ordinal=ordinal, actor=actor, reason=reason)
    return Line("create", item.kind, name, item.where)


EACH: Mapping[str, Callable[[Tenant, Item, User, str], Line]] = {
    "environment": settle_environment,
    "project": settle_project,
    "role": settle_role,
    "slot": _slot,
}
