"""A directory of files becomes what the registry holds: by the services of each thing, all of it or nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction

from arm.errors import DomainError, Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import visible
from arm.rights import Right, Risk

from ..genome import seal
from ..models import (
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Provider,
    RoleDefinition,
)
from ..protocol.files import Item
from ..protocol.rows import TemplateRow, of_rows, read_templates
from .asking import require_reason
from .bulk import judge_templates, store_templates
from .places import create_environment
from .roles import create_role
from .slots import create_slot
from .versions import create_version


@dataclass(frozen=True, slots=True)
class Line:
    """What becomes of one thing: `create`, `change` or `same`; `fields` are (name, before, after) of a change."""

    verb: str
    kind: str
    name: str
    where: str
    fields: tuple[tuple[str, str, str], ...] = ()


@transaction.atomic
def apply_files(*, tenant: Tenant, items: Sequence[Item], actor: User, reason: str) -> list[Line]:
    """Make what is missing and change what is otherwise, in the order environments, roles, agents, versions, slots. What
    the files do not name stays as it is. Invalid with `file#/place` for everything that cannot be done, and then nothing
    is."""
    require_reason(reason)
    lines: list[Line] = []
    problems: list[Problem] = []
    of: dict[str, list[Item]] = {}
    for item in items:
        of.setdefault(item.kind, []).append(item)
    for kind, act in EACH.items():
        if kind == "version":  # agents are made in bulk, before their versions
            lines += _templates(tenant, of.get("template", []), actor, reason, problems)
        for item in of.get(kind, ()):
            lines += _tried(item, problems, partial(act, tenant, item, actor, reason))
    if problems:
        raise Invalid("Nothing is applied.", problems)
    return lines


def _tried(item: Item, problems: list[Problem], act: Callable[[], Line]) -> list[Line]:
    """The line, or a problem at the item's place for what its service refuses."""
    try:
        with transaction.atomic():
            return [act()]
    except DomainError as refusal:
        errors: Any = refusal.extra.get("errors") or [{"pointer": "", "message": refusal.message}]
        for error in errors:
            problems.append(
                Problem(
                    pointer=f"{item.where}{error['pointer']}",
                    code=error.get("code", refusal.code),
                    message=error["message"],
                )
            )
        return []


def _same(item: Item, held: Any) -> Line:
    """The line of something that is there. Invalid where it is otherwise, as nothing changes things of this kind."""
    for name, value in item.body.items():
        now = getattr(held, name)
        if now != value:
            message = f"It is there with “{now}”, and nothing changes this of a {item.kind} once it is made."
            raise Invalid(message, [Problem(pointer=f"/{name}", code="conflict", message=message)])
    return Line("same", item.kind, item.body["slug"], item.where)


def _environment(tenant: Tenant, item: Item, actor: User, reason: str) -> Line:
    rows = Environment.objects.filter(tenant=tenant, slug=item.body["slug"])
    held = visible(rows, actor, Right.READ_DIRECTORY).first()
    if held is not None:
        return _same(item, held)
    body = dict(item.body)
    if "risk_default" in body:
        body["risk_default"] = Risk(body["risk_default"])
    create_environment(tenant=tenant, actor=actor, reason=reason, **body)
    return Line("create", item.kind, body["slug"], item.where)


def _role(tenant: Tenant, item: Item, actor: User, reason: str) -> Line:
    rows = RoleDefinition.objects.filter(tenant=tenant, slug=item.body["slug"])
    held = visible(rows, actor, Right.READ_DIRECTORY).first()
    if held is not None:
        return _same(item, held)
    body = dict(item.body)
    if "risk" in body:
        body["risk"] = Risk(body["risk"])
    create_role(tenant=tenant, actor=actor, reason=reason, **body)
    return Line("create", item.kind, body["slug"], item.where)


def _templates(
    tenant: Tenant, items: Sequence[Item], actor: User, reason: str, problems: list[Problem]
) -> list[Line]:
    if not items:
        return []
    Tenant.objects.select_for_update().get(pk=tenant.pk)  # short names are given one at a time
    read = read_templates([item.body for item in items])
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
    found = [(name, str(getattr(held, name)), str(value)) for name, value in values.items()]
    if owners:
        now = sorted(own.user.username for own in held.owned)  # type: ignore[attr-defined]
        found.append(("owners", ", ".join(now), ", ".join(sorted(person.username for person in owners))))
    return tuple(found)


def _version(tenant: Tenant, item: Item, actor: User, reason: str) -> Line:
    template = _one(AgentTemplate, tenant, "template", item.body["template"], actor)
    document = {**item.body["genome"], "template": item.body["genome"].get("template") or template.typeid}
    try:
        digest = seal(document).digest
    except (ValueError, TypeError):
        digest = ""  # whatever is wrong with it is named by the service
    held = AgentVersion.objects.filter(template=template, genome__digest=digest).order_by("number").first()
    if held is not None:
        return Line("same", item.kind, f"{template.slug}@{held.number}", item.where)
    try:
        made = create_version(
            template=template,
            genome=item.body["genome"],
            label=item.body.get("label", ""),
            description=item.body.get("description", ""),
            actor=actor,
            reason=reason,
        )
    except Invalid as refusal:
        inner = [
            Problem(pointer=f"/genome{p['pointer']}", code=p["code"], message=p["message"])
            for p in refusal.errors
        ]
        raise Invalid(refusal.message, inner) from None
    return Line("create", item.kind, f"{template.slug}@{made.number}", item.where)


def _slot(tenant: Tenant, item: Item, actor: User, reason: str) -> Line:
    place = _one(Environment, tenant, "environment", item.body["environment"], actor)
    role = _one(RoleDefinition, tenant, "role", item.body["role"], actor)
    provider = _one(Provider, tenant, "provider", item.body["provider"], actor)
    ordinal = item.body.get("ordinal", 1)
    name = f"{role.slug}@{place.slug}/{provider.slug}#{ordinal}"
    rows = DeploymentSlot.objects.filter(environment=place, role=role, provider=provider)
    if rows.filter(ordinal=ordinal).exists():
        return Line("same", item.kind, name, item.where)
    create_slot(environment=place, role=role, provider=provider, ordinal=ordinal, actor=actor, reason=reason)
    return Line("create", item.kind, name, item.where)


def _one(model: Any, tenant: Tenant, member: str, slug: str, actor: User) -> Any:
    rows = model._default_manager.filter(tenant=tenant, slug=slug)
    found = visible(rows, actor, Right.READ_DIRECTORY).first()
    if found is None:
        message = f"There is no {member} “{slug}”, or it is not yours to use."
        raise Invalid(message, [Problem(pointer=f"/{member}", code="unknown", message=message)])
    return found


EACH: Mapping[str, Callable[[Tenant, Item, User, str], Line]] = {
    "environment": _environment,
    "role": _role,
    "version": _version,
    "slot": _slot,
}
