"""Versions of a directory of files: parents before their children, in whatever order the files name them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from arm.errors import Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import visible
from arm.rights import Right

from ..models import AgentTemplate, AgentVersion, VersionParent
from ..protocol.files import Item, Parent, parent_of
from .genomes import digests_of
from .lineage import name_parents
from .settling import Line, named, tried
from .versions import create_version


class _NotYet(Invalid):
    """A parent is not there; it may be made of another file."""


def settle_versions(
    tenant: Tenant, items: Sequence[Item], actor: User, reason: str, problems: list[Problem]
) -> list[Line]:
    """Each version whose parents are there, round by round; what waits for ever names the parents that it lacks."""
    waiting, lines = list(items), dict[str, list[Line]]()
    while waiting:
        left: list[Item] = []
        found: list[Problem] = []
        for item in waiting:
            before = len(found)
            done = tried(item, found, partial(_version, tenant, item, actor, reason))
            if done:
                lines[item.where] = done
            elif any(problem["code"] == LACKS for problem in found[before:]):
                left.append(item)
            else:
                problems += found[before:]
                del found[before:]
        if len(left) == len(waiting):
            problems += found
            break
        waiting = left
    return [line for item in items for line in lines.get(item.where, [])]


LACKS = "parent_unknown"


def _version(tenant: Tenant, item: Item, actor: User, reason: str) -> Line:
    template: AgentTemplate = named(AgentTemplate, tenant, "template", item.body["template"], actor)
    try:
        digests = digests_of(item.body["genome"], template)
    except (ValueError, TypeError):
        digests = set()  # whatever is wrong with it is named by the service
    parents = _parents(tenant, template, item, actor)
    rows = AgentVersion.objects.select_related("template", "genome").filter(
        template=template, genome__digest__in=digests
    )
    held = rows.order_by("number").first()
    if held is not None:
        return _same_or_derived(item, held, parents, actor, reason)
    try:
        made = create_version(
            template=template,
            genome=item.body["genome"],
            label=item.body.get("label", ""),
            description=item.body.get("description", ""),
            parents=parents or (),
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


def _same_or_derived(
    item: Item, held: AgentVersion, parents: Sequence[AgentVersion] | None, actor: User, reason: str
) -> Line:
    name = f"{held.template.slug}@{held.number}"
    for member in ("label", "description"):
        now, said = getattr(held, member), item.body.get(member)
        if said is not None and said != now:
            message = (
                f"{name} has this genome and the {member} “{now}”, and nothing changes that once it is made."
            )
            raise Invalid(message, [Problem(pointer=f"/{member}", code="conflict", message=message)])
    if parents is None:
        return Line("same", item.kind, name, item.where)
    edges = VersionParent.objects.filter(version=held).select_related("parent__template").order_by("pk")
    before = sorted(_called(edge.parent) for edge in edges)
    after = sorted(_called(parent) for parent in parents)
    if before == after:
        return Line("same", item.kind, name, item.where)
    name_parents(version=held, parents=parents, actor=actor, reason=reason)
    fields = (("parents", ", ".join(before), ", ".join(after)),)
    return Line("change", item.kind, name, item.where, fields)


def _called(version: AgentVersion) -> str:
    return f"{version.template.slug}@{version.number}"


def _parents(tenant: Tenant, template: AgentTemplate, item: Item, actor: User) -> list[AgentVersion] | None:
    """What `parents` names; None where the file says nothing of them. Invalid at each that is not there, or not one."""
    if "parents" not in item.body:
        return None
    found: list[AgentVersion] = []
    problems: list[Problem] = []
    for place, value in enumerate(item.body["parents"]):
        parent = parent_of(value)
        assert parent is not None  # asked when the file was read
        rows = list(_named(tenant, template, parent, actor)[:2])
        if len(rows) == 1:
            found.append(rows[0])
            continue
        said = _said(parent)
        message = (
            f"Several versions are called {said}: name its digest."
            if rows
            else f"There is no version {said}, it is not yours to see, or it comes from this one."
        )
        code = "ambiguous" if rows else LACKS
        problems.append(Problem(pointer=f"/parents/{place}", code=code, message=message))
    if problems:
        raise Invalid("Not all parents are there.", problems)
    return list(dict.fromkeys(found))


def _named(tenant: Tenant, template: AgentTemplate, parent: Parent, actor: User) -> Any:
    rows = AgentVersion.objects.filter(tenant=tenant).select_related("template").order_by("number")
    seen = visible(rows, actor, Right.READ_DIRECTORY)
    if parent.template:
        seen = seen.filter(template__slug=parent.template)
    elif not parent.digest:
        seen = seen.filter(template=template)
    if parent.digest:
        seen = seen.filter(genome__digest=parent.digest)
    return (
        seen.filter(number=parent.number)
        if parent.number
        else seen.filter(label=parent.label)
        if parent.label
        else seen
    )


def _said(parent: Parent) -> str:
    named = (
        parent.digest[:19] + "…"
        if parent.digest
        else f"“{parent.label}”"
        if parent.label
        else str(parent.number)
    )
    return f"{named} of {parent.template}" if parent.template else named
