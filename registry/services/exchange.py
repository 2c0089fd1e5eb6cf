"""Versions as files of other formats, and such files as Drafts."""

from dataclasses import dataclass, replace
from enum import StrEnum

from django.db import transaction

from arm import crypto
from arm import services as core
from arm.errors import Conflict, Invalid, Problem
from arm.models import SecurityEvent, Tenant, User
from arm.permissions import require
from arm.rights import Right

from ..genome import Json, pointer
from ..models import AgentTemplate, AgentVersion, Genome
from ..protocol import common, cyclonedx, mcp, oasf
from ..protocol.common import Draft, Subject
from ..queries.cards import measured_of
from .asking import refuse
from .envelopes import unsigned_bom
from .genomes import ReadGenome, read_genome, read_version
from .versions import ImportedVersion, create_version, required_here, template_called, template_of


class Format(StrEnum):
    """What a version can be exported as."""

    GENOME = "genome"
    YAML = "genome-yaml"
    CYCLONEDX_16 = "cyclonedx-1.6"
    CYCLONEDX_17 = "cyclonedx-1.7"
    MCP = "mcp-server"
    OASF = "oasf"


class Tampered(Conflict):
    """What is stored is not what its digest says; it is not handed out."""

    code = "tampered"


@dataclass(frozen=True, slots=True)
class Exported:
    """A file as it leaves: the same version gives the same bytes. `digest` is theirs, `sha256:…`."""

    content: bytes
    media_type: str
    name: str
    digest: str


def take_genome(*, genome: Genome, actor: User, held: str = "") -> Exported:
    """The exact stored bytes, with a line in the security log unless the asker has them already (`held` is their
    digest). Tampered where they do not match their digest; the incident about that stays."""
    require(actor, Right.READ_DIRECTORY, genome)
    intact(read_genome(genome=genome))
    name = f"{genome.digest.removeprefix('sha256:')}.genome.json"
    file = Exported(bytes(genome.content), "application/json", name, genome.digest)
    if held != file.digest:
        core.note_security(
            SecurityEvent.Kind.EXPORTED,
            f"genome of {genome.template}",
            user=actor,
            tenant=genome.tenant,
            detail={"genome": genome.typeid, "digest": genome.digest},
        )
    return file


def intact(read: ReadGenome) -> ReadGenome:
    """What was read; Tampered where it is not what was sealed."""
    if not read.intact:
        said = "The stored genome is not the one that was sealed."
        raise Tampered(said, digest=read.sealed, computed=read.computed)
    return read


def export_version(
    *, version: AgentVersion, format: Format, actor: User, server: str = "", held: str = ""
) -> Exported:
    """The version in this format, with a line in the security log, unless the asker has these very bytes already
    (`held` is their digest).

    `server`: which of the MCP servers that its tools name, where there are several. Tampered where the stored genome
    does not match its digest; Invalid where the format must say what the version does not.
    """
    require(actor, Right.READ_DIRECTORY, version)
    read = intact(read_version(version))
    content, media_type, ending = _content(version, read.document, format, server)
    stem = version.genome.digest.removeprefix("sha256:")[:16]
    file = Exported(
        content,
        media_type,
        f"{version.template.slug}-v{version.number}-{stem}{ending}",
        crypto.digest(content),
    )
    if held != file.digest:
        detail = {
            "version": version.typeid,
            "digest": file.digest,
            **({"server": server} if server and format is Format.MCP else {}),
        }
        core.note_security(
            SecurityEvent.Kind.EXPORTED,
            f"{format} of {version}",
            user=actor,
            tenant=version.tenant,
            detail=detail,
        )
    return file


def _content(
    version: AgentVersion, document: dict[str, Json], format: Format, server: str
) -> tuple[bytes, str, str]:
    match format:
        case Format.GENOME:
            return bytes(version.genome.content), "application/json", ".genome.json"
        case Format.YAML:
            return common.yaml_of(document), "application/yaml", ".genome.yaml"
        case Format.CYCLONEDX_16 | Format.CYCLONEDX_17:
            spec = format.removeprefix("cyclonedx-")
            bom = cyclonedx.bom(subject_of(version), document, spec)
            return bom, f"application/vnd.cyclonedx+json; version={spec}", ".cdx.json"
        case Format.MCP:
            name = _server(document, server)
            return mcp.server_json(subject_of(version), document, name), "application/json", ".server.json"
        case Format.OASF:
            return oasf.record(subject_of(version), document), "application/json", ".oasf.json"


def _server(document: dict[str, Json], asked: str) -> str:
    named = mcp.servers(document)
    if asked and asked in named:
        return asked
    if not asked and len(named) == 1:
        return named[0]
    message = f"Name the server: {', '.join(named[:50])}." if named else "Its tools name no MCP server."
    raise Invalid(message, [Problem(pointer="/server", code="choice", message=message)], servers=named)


def subject_of(version: AgentVersion) -> Subject:
    """What files say of a version beside its genome."""
    template = version.template
    return Subject(
        name=template.name,
        version=version.label or str(version.number),
        description=version.description or template.description,
        organisation=template.tenant.name,
        version_id=version.typeid,
        template_id=template.typeid,
        digest=version.genome.digest,
        measured=measured_of(version),
        created=version.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


# --- imports -------------------------------------------------------------------------------------------------


@transaction.atomic
def import_bom(
    *, tenant: Tenant, data: bytes, actor: User, reason: str, template: AgentTemplate | None = None
) -> ImportedVersion:
    """A Draft out of a CycloneDX ML-BOM: for `template`, for the agent that a BOM of ours names, or for one of the
    file's name. Invalid names every wrong member of the file.

    A BOM signed as an in-toto statement (DSSE) is held against this tenant's own keys: what one of them has not signed
    though it says so is refused; a signature of somebody else is noted as not verified."""
    bom, notes = unsigned_bom(tenant, data)
    draft = cyclonedx.read_bom(bom)
    draft = replace(draft, notes=(*notes, *draft.notes))
    return _bring_in(tenant, draft, "The BOM is not imported.", template, actor, reason)


@transaction.atomic
def import_record(
    *, tenant: Tenant, data: bytes, actor: User, reason: str, template: AgentTemplate | None = None
) -> ImportedVersion:
    """A Draft out of an OASF record, as `import_bom`."""
    return _bring_in(tenant, oasf.read_record(data), "The record is not imported.", template, actor, reason)


@transaction.atomic
def import_server(
    *,
    tenant: Tenant,
    data: bytes,
    actor: User,
    reason: str,
    template: AgentTemplate | None = None,
    base: AgentVersion | None = None,
) -> ImportedVersion:
    """A Draft with the tools of an MCP `server.json`: `base` with these tools changed or added, or a first version of
    `template` with no others. Invalid where the file names no tools, or leaves open what a new one needs."""
    server = mcp.read_server(data)
    if server.problems:
        raise Invalid("The server.json is not imported.", server.problems)
    if base is not None:
        template = base.template
        before = intact(read_version(base)).document
    elif template is not None:
        before = {"schema": "arm.genome/v1"}
    else:
        refuse("/version", "required", "Name the version or the agent that the tools are of.")
        raise AssertionError  # `refuse` has raised
    document, notes, places = mcp.with_tools(before, server)
    placed = {
        f"/tools/{n}": pointer(places[tool["name"]])
        for n, tool in enumerate(document["tools"])
        if tool["name"] in places
    }
    for n, one in enumerate(document.get("servers", ())):
        if one["name"] == server.name:
            placed |= {f"/servers/{n}/{name}": f"/{name}" for name in ("version", "packages", "remotes")}
    if problems := common.judged(document, placed):
        raise Invalid("The server.json is not imported.", problems)
    version = create_version(
        template=template, genome=document, actor=actor, reason=reason, parents=[base] if base else []
    )
    return ImportedVersion(version, False, (*notes, *required_here(version)))


def _bring_in(
    tenant: Tenant, draft: Draft, refused: str, template: AgentTemplate | None, actor: User, reason: str
) -> ImportedVersion:
    if draft.problems:
        raise Invalid(refused, draft.problems)
    document = dict(draft.document)
    named = document.pop("template", "")  # another installation's, perhaps
    notes, made = list(draft.notes), False
    if template is None and named:
        template = template_of(tenant, str(named), actor)
    if template is None:
        template, made, said = template_called(tenant, draft.name, draft.description, actor, reason)
        notes += said
    if named and named != template.typeid:
        notes.append("The genome belongs to another agent here than in the file, so its digest is another.")
    version = create_version(
        template=template,
        genome=document,
        actor=actor,
        reason=reason,
        label=draft.version_label,
        description=draft.description if draft.description != template.description else "",
    )
    return ImportedVersion(version, made, (*notes, *required_here(version)))
