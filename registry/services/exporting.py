"""What stands in a registry as a directory of files, which `apply_files` finds to be so already."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from arm import services as core
from arm.errors import NotAllowed, TooLarge
from arm.models import Membership, SecurityEvent, Tenant, User
from arm.permissions import held_anywhere, visible
from arm.rights import Right

from ..genome import Json
from ..models import (
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Genome,
    Ownership,
    Project,
    Provider,
    RoleDefinition,
    VersionParent,
)
from ..protocol.common import yaml_of
from ..protocol.files import KINDS, MAY_END, MOST_FILES
from ..queries import channels_of
from .exchange import Tampered

Body = dict[str, Any]


def export_files(*, tenant: Tenant, actor: User, agents: Sequence[str] = ()) -> dict[str, bytes]:
    """The files by name: what the actor sees and may take away, with a line in the security log. `agents`: the short names
    of these alone; else all.

    What the actor sees in part only is left out of its thing (owners who left, parents, a project), so that a file never
    says less than is so. Tampered where a genome does not match its digest; TooLarge for more files than are read.
    """
    if Right.EXPORT.value not in held_anywhere(actor):
        kind = SecurityEvent.Kind.REFUSED
        core.note_security(kind, "export of files", user=actor, tenant=tenant)
        raise NotAllowed(f"You may not {Right.EXPORT.words}.", right=Right.EXPORT.value)
    templates = _taken(AgentTemplate.objects.filter(tenant=tenant), actor).order_by("slug")
    if agents:
        templates = templates.filter(slug__in=agents)
    versions = _taken(AgentVersion.objects.filter(tenant=tenant, template__in=templates.order_by()), actor)
    count = 4 + templates.count() + versions.count()
    if count > MOST_FILES:
        message = f"These would be {count:,} files, and {MOST_FILES:,} are read at most: name some agents."
        raise TooLarge(message)
    files: dict[str, bytes] = {}
    for name, items in (
        ("environments.yaml", _environments(tenant, actor)),
        ("projects.yaml", _plain("project", Project.objects.filter(tenant=tenant).order_by("slug"), actor)),
        ("roles.yaml", _plain("role", RoleDefinition.objects.filter(tenant=tenant).order_by("slug"), actor)),
        ("slots.yaml", _slots(tenant, actor)),
    ):
        if items:
            files[name] = yaml_of({"items": items})
    files |= _agents(tenant, templates, versions, actor)
    detail = {"files": len(files), "agents": list(agents)}
    core.note_security(
        SecurityEvent.Kind.EXPORTED, "files of the registry", user=actor, tenant=tenant, detail=detail
    )
    return files


def _taken(rows: QuerySet[Any], actor: User) -> QuerySet[Any]:
    return visible(visible(rows, actor, Right.READ_DIRECTORY), actor, Right.EXPORT)


def _plain(kind: str, rows: QuerySet[Any], actor: User) -> list[Json]:
    """Each row with the members of its kind that say something."""
    return [{"kind": kind, **_said(kind, row)} for row in _taken(rows, actor)]


def _said(kind: str, row: Any) -> Body:
    fields = [field for field in row._meta.concrete_fields if not field.is_relation]
    found = {field.name: getattr(row, field.name) for field in fields if field.name in KINDS[kind]}
    return {name: _json(name, value) for name, value in found.items() if value not in (None, "", [], {})}


def _json(name: str, value: Any) -> Json:
    return f"{value.normalize():f}" if name in MAY_END and name != "latency_ms" else value


def _environments(tenant: Tenant, actor: User) -> list[Json]:
    """In the order of the channels, each with its place among all of them."""
    seen = {row.pk for row in _taken(Environment.objects.filter(tenant=tenant), actor)}
    return [
        {"kind": "environment", **_said("environment", place), "position": number}
        for number, place in enumerate(channels_of(tenant.pk), 1)
        if place.pk in seen
    ]


def _slots(tenant: Tenant, actor: User) -> list[Json]:
    open_ones = DeploymentSlot.objects.filter(tenant=tenant, closed_at=None)  # a file would open them again
    rows = open_ones.select_related("environment", "role", "provider")
    named = {
        model: set(
            visible(model._default_manager.all(), actor, Right.READ_DIRECTORY).values_list("pk", flat=True)
        )
        for model in (Environment, RoleDefinition, Provider)
    }
    return [
        {
            "kind": "slot",
            "environment": slot.environment.slug,
            "role": slot.role.slug,
            "provider": slot.provider.slug,
            "ordinal": slot.ordinal,
        }
        for slot in _taken(rows, actor)
        if slot.environment_id in named[Environment]
        and slot.role_id in named[RoleDefinition]
        and slot.provider_id in named[Provider]
    ]


def _agents(
    tenant: Tenant, templates: QuerySet[Any], versions: QuerySet[Any], actor: User
) -> Mapping[str, bytes]:
    """A file for each agent with its versions, and one for each genome."""
    files: dict[str, bytes] = {}
    held = Prefetch(
        "ownerships", Ownership.objects.filter(until=None).select_related("user"), to_attr="owned"
    )
    members = set(Membership.objects.filter(tenant=tenant, active=True).values_list("user", flat=True))
    projects = set(visible(Project.objects.all(), actor, Right.READ_DIRECTORY).values_list("pk", flat=True))
    of: dict[UUID, list[AgentVersion]] = defaultdict(list)
    labels: Counter[tuple[UUID, str]] = Counter()
    every = versions.select_related("template", "genome").order_by("template", "number")
    for version in every.defer("genome__content"):
        of[version.template_id].append(version)
        labels[version.template_id, version.label] += 1
    parents = _parents(tenant, every, labels, actor)
    for template in templates.select_related("project").prefetch_related(held):
        body = _said("template", template)
        if template.project_id in projects:
            body["project"] = template.project.slug
        owners = [own.user for own in template.owned]
        if owners and all(user.pk in members for user in owners):
            body["owners"] = sorted(user.username for user in owners)
        items: list[Json] = [{"kind": "template", **body}]
        for version in of[template.pk]:
            name = f"{template.slug}-{version.number}.genome.json"
            files[f"agents/genomes/{name}"] = _genome(version.genome_id)
            items.append({
                "kind": "version", "template": template.slug, **_said("version", version),
                "genome": f"genomes/{name}", **parents.get(version.pk, {}),
            })  # fmt: skip
        files[f"agents/{template.slug}.yaml"] = yaml_of({"items": items})
    return files


def _genome(key: UUID) -> bytes:
    """The genome without its agent, which the version's file names: it can be applied elsewhere, too."""
    genome = Genome.objects.get(pk=key)
    if not genome.intact:
        raise Tampered(
            "The stored genome does not match its digest; nothing is written.", digest=genome.digest
        )
    document = genome.document()
    document.pop("template", None)
    if genome.build:
        document["provenance"] = {**document.get("provenance", {}), **genome.build}
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def _parents(
    tenant: Tenant, versions: QuerySet[Any], labels: Mapping[tuple[UUID, str], int], actor: User
) -> dict[UUID, Body]:
    """By version; none of one of which some parent is not the actor's to see."""
    edges = VersionParent.objects.filter(tenant=tenant, version__in=versions.order_by().values("pk"))
    seen = {
        row.pk: row
        for row in visible(
            AgentVersion.objects.filter(pk__in=edges.values("parent")), actor, Right.READ_DIRECTORY
        ).select_related("template", "genome").defer("genome__content")
    }  # fmt: skip
    found: dict[UUID, Body] = {}
    hidden: set[UUID] = set()
    for edge in edges.select_related("version").order_by("pk"):
        parent = seen.get(edge.parent_id)
        if parent is None:
            hidden.add(edge.version_id)
            continue
        unique = parent.label and labels[parent.template_id, parent.label] == 1
        named: Body = {"label": parent.label} if unique else {"number": parent.number}
        if parent.template_id != edge.version.template_id:
            named = {"template": parent.template.slug, **named}
        found.setdefault(edge.version_id, {"parents": []})["parents"].append(named)
    return {key: body for key, body in found.items() if key not in hidden}
