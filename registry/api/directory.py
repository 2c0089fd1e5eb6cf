"""Endpoints of templates, versions, genomes, prompts and imports."""

from dataclasses import asdict
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from arm import ids
from arm.api import Endpoint, Request, tenant_of, validated
from arm.errors import Conflict, Invalid, Problem
from arm.models import User
from arm.permissions import require, visible
from arm.rights import Right, Risk
from registry import filters, queries, services
from registry.api import serializers as words
from registry.api.base import Bytes, DirectoryViewSet, ShowsExisting, created
from registry.genome.reading import MAX_BYTES
from registry.lifecycle import VersionState
from registry.models import AgentTemplate, AgentVersion, Genome, Ownership, Prompt, VersionParent

CURRENT_OWNERS = Prefetch("ownerships", Ownership.objects.filter(until=None).select_related("user"))
EDGES = Prefetch("parents", VersionParent.objects.only("version_id", "parent_id").order_by("pk"))


class Tampered(Conflict):
    """What is stored is not what its digest says; it is not handed out."""

    code = "tampered"


def named(rows: QuerySet[Any], pointer: str, actor: User, **by: Any) -> Any:
    """The one row that a request names and the caller may see; Invalid with the pointer where there is none."""
    row = visible(rows.filter(**by), actor, Right.READ_DIRECTORY).first()
    if row is None:
        message = "There is no such row, or it is not yours to use."
        raise Invalid(message, [Problem(pointer=pointer, code="unknown", message=message)])
    return row


def people(names: list[str], request: Request) -> list[User]:
    """The members of the tenant with these user names; Invalid names each that is none."""
    held = User.objects.filter(
        username__in=names, memberships__tenant=tenant_of(request), memberships__active=True
    )
    found = {user.username: user for user in held}
    problems = [
        Problem(pointer=f"/owners/{index}", code="unknown", message="There is no such member.")
        for index, name in enumerate(names)
        if name not in found
    ]
    if problems:
        raise Invalid("Owners are members of the tenant.", problems)
    return [found[name] for name in names]


def genome_bytes(genome: Genome) -> HttpResponse:
    """The exact stored bytes with their digest as ETag; 409 and an incident where they do not match it."""
    read = services.read_genome(genome=genome)
    if not read.intact:
        raise Tampered(
            "The stored genome does not match its digest.", digest=genome.digest, computed=read.computed
        )
    return HttpResponse(
        bytes(genome.content),
        content_type="application/json",
        headers={"ETag": f'"{genome.digest}"', "Content-Disposition": 'attachment; filename="genome.json"'},
    )


class TemplateViewSet(DirectoryViewSet[AgentTemplate]):
    """Agents as people speak of them."""

    queryset = AgentTemplate.objects.select_related("project").prefetch_related(CURRENT_OWNERS)
    serializer_class = words.TemplateOut
    filterset_class = filters.TemplateFilter
    prefix = "tpl"

    @extend_schema(request=words.TemplateIn, responses={201: words.TemplateOut})
    def create(self, request: Request) -> Response:
        """Register an agent; who registers it owns it unless `owners` names others."""
        body = validated(words.TemplateIn, request)
        body["owners"] = people(body.pop("owners", []), request)
        if "risk" in body:
            body["risk"] = Risk(body["risk"])
        made = services.register_template(tenant=tenant_of(request), actor=request.user, **body)
        return created(words.TemplateOut(made))

    @extend_schema(request=words.TemplateChange, responses=words.TemplateOut)
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what describes the agent; its risk class needs the right to manage the directory."""
        template = self.get_object()
        body = validated(words.TemplateChange, request)
        if "risk" in body:
            body["risk"] = Risk(body["risk"])
        services.update_template(template=template, actor=request.user, **body)
        return Response(words.TemplateOut(self.get_object()).data)

    @extend_schema(request=words.OwnersIn, responses=words.TemplateOut)
    @action(detail=True, methods=["post"])
    def owners(self, request: Request, id: str) -> Response:
        """Exactly these people answer for the agent from now on."""
        template = self.get_object()
        body = validated(words.OwnersIn, request)
        services.set_owners(
            template=template,
            owners=people(body["owners"], request),
            actor=request.user,
            reason=body["reason"],
        )
        return Response(words.TemplateOut(self.get_object()).data)


class VersionViewSet(DirectoryViewSet[AgentVersion]):
    """Immutable builds, their genomes and their lifecycle."""

    queryset = (
        AgentVersion.objects.for_list().select_related("created_by", "submitted_by").prefetch_related(EDGES)
    )
    serializer_class = words.VersionOut
    filterset_class = filters.VersionFilter
    prefix = "ver"

    def etags(self, found: AgentVersion) -> list[str]:
        """At the address of its genome, what was read is the genome."""
        return [f'"{found.genome.digest}"'] if self.action == "genome" else super().etags(found)

    @extend_schema(request=words.VersionIn, responses={201: words.VersionOut})
    def create(self, request: Request) -> Response:
        """A new Draft out of a genome. A wrong one is 422 with every pointer; the same one is 409 with what is there."""
        body = validated(words.VersionIn, request)
        template = named(AgentTemplate.objects.all(), "/template", request.user, pk=body["template"])
        parents = [
            named(AgentVersion.objects.all(), f"/parents/{n}", request.user, pk=pk)
            for n, pk in enumerate(body.get("parents", []))
        ]
        made = services.create_version(
            template=template,
            genome=body["genome"],
            label=body.get("label", ""),
            description=body.get("description", ""),
            parents=parents,
            actor=request.user,
            reason=body["reason"],
        )
        return created(words.VersionOut(made))

    @extend_schema(request=words.MoveVersionIn, responses=words.VersionOut)
    @action(detail=True, methods=["post"])
    def move(self, request: Request, id: str) -> Response:
        """Move along the lifecycle; 409 `gate_refused` names everything that is missing."""
        version = self.get_object()
        body = validated(words.MoveVersionIn, request)
        moved = services.move_version(
            version=version, to=VersionState(body["to"]), actor=request.user, reason=body["reason"]
        )
        return Response(words.VersionOut(moved).data)

    @extend_schema(responses=words.StepOut(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def steps(self, request: Request, id: str) -> Response:
        """Where the version may go from here, and what is missing for each step."""
        found = queries.version_steps(self.get_object(), request.user)
        return Response(words.StepOut([step_out(step) for step in found], many=True).data)

    @extend_schema(methods=["get"], responses=OpenApiTypes.OBJECT)
    @extend_schema(methods=["put"], request=words.SaveGenomeIn, responses=words.VersionOut)
    @action(detail=True, methods=["get", "put"])
    def genome(self, request: Request, id: str) -> HttpResponse:
        """GET: the exact bytes, digest as ETag. PUT: give a Draft another genome."""
        version = self.get_object()
        if request.method == "GET":
            return genome_bytes(version.genome)
        body = validated(words.SaveGenomeIn, request)
        saved = services.save_genome(
            version=version, genome=body["genome"], actor=request.user, reason=body["reason"]
        )
        return Response(words.VersionOut(saved).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("with", str, description="The other version; default: its predecessor.")
        ],
        responses=words.ChangeOut(many=True),
    )
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def diff(self, request: Request, id: str) -> Response:
        """Field by field, from the other version to this one."""
        version = self.get_object()
        asked = request.query_params.get("with", "")
        other = queries.predecessor(version)
        if asked:
            rows = AgentVersion.objects.select_related("template", "genome")
            other = named(rows, "/with", request.user, pk=_decoded("ver", asked, "/with"))
        if other is None:
            return Response([])
        compared = queries.compare(version, queries.stored_document(version), other)
        if compared is None:
            raise Tampered("One of the two genomes cannot be read as it should be.")
        return Response([asdict(change) for change in compared.changes])


class GenomeViewSet(DirectoryViewSet[Genome]):
    """Every genome that was ever stored."""

    queryset = Genome.objects.defer("content")
    serializer_class = words.GenomeOut
    filterset_class = filters.GenomeFilter
    prefix = "gen"

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["get"])
    def content(self, request: Request, id: str) -> HttpResponse:
        """The exact bytes, digest as ETag."""
        return genome_bytes(self.get_object())


class PromptViewSet(DirectoryViewSet[Prompt]):
    """Prompts, kept once under their digests. Their text needs a right of its own."""

    queryset = Prompt.objects.defer("content")
    serializer_class = words.PromptOut
    prefix = "prm"

    @extend_schema(request=words.PromptIn, responses={201: words.PromptOut})
    def create(self, request: Request) -> Response:
        """Keep a prompt."""
        body = validated(words.PromptIn, request)
        made = services.store_prompt(
            tenant=tenant_of(request),
            content=body["content"].encode(),
            media_type=body["media_type"],
            actor=request.user,
            reason=body["reason"],
        )
        return created(words.PromptOut(made))

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"])
    def content(self, request: Request, id: str) -> HttpResponse:
        """The text itself."""
        prompt = self.get_object()
        require(request.user, Right.READ_PROMPTS, prompt)
        return HttpResponse(
            bytes(prompt.content),
            content_type="application/octet-stream",
            headers={"ETag": f'"{prompt.digest}"'},
        )


class _Import(ShowsExisting, Endpoint):
    """One file in, one Draft out: the body itself, or the field `file` of a multipart form."""

    parser_classes = [MultiPartParser, Bytes]
    media_type: ClassVar[str] = ""

    def bring_in(self, request: Request, data: bytes, media_type: str, body: dict[str, Any]) -> Any:
        raise NotImplementedError

    def import_file(self, request: Request) -> Response:
        data, media_type, said = self._file(request)
        checked = words.ImportIn(data={**request.query_params.dict(), **said})
        checked.is_valid(raise_exception=True)
        body = dict(checked.validated_data)
        if pk := body.pop("template", None):
            body["template"] = named(AgentTemplate.objects.all(), "/template", request.user, pk=pk)
        imported = self.bring_in(request, data, media_type, body)
        version = words.VersionOut(imported.version).data
        answer = {
            "version": version,
            "new_template": imported.new_template,
            "notes": list(imported.notes),
            "url": version["url"],
        }
        return Response(answer, status=201, headers={"Location": version["url"]})

    def _file(self, request: Request) -> tuple[bytes, str, dict[str, Any]]:
        sent: Any = request.data
        if isinstance(sent, bytes):
            return sent, request.content_type or "", {}
        upload = sent.get("file")
        if upload is None or isinstance(upload, str):
            message = "Send the document as the body, or as the field “file” of a multipart form."
            raise Invalid(message, [Problem(pointer="/file", code="required", message=message)])
        said = {name: value for name, value in sent.items() if name != "file"}
        named_yaml = str(upload.name).lower().endswith((".yaml", ".yml"))
        return upload.read(MAX_BYTES + 1), "application/yaml" if named_yaml else "application/json", said


_FILE = {
    "application/json": OpenApiTypes.OBJECT,
    "multipart/form-data": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}},
}
_AROUND = [
    OpenApiParameter("reason", str),
    OpenApiParameter("template", str, description="tpl_…; default: what the file says, or a new agent"),
    OpenApiParameter("name", str, description="Name of a new agent, where the file names none"),
    OpenApiParameter("label", str, description="What its builders call the version"),
]


class ImportGenome(_Import):
    @extend_schema(
        request={**_FILE, "application/yaml": OpenApiTypes.STR},
        parameters=_AROUND,
        responses={201: words.ImportedOut},
    )
    def post(self, request: Request) -> Response:
        """Import a genome (JSON or YAML) as a Draft."""
        return self.import_file(request)

    def bring_in(self, request: Request, data: bytes, media_type: str, body: dict[str, Any]) -> Any:
        return services.import_genome(
            tenant=tenant_of(request), data=data, media_type=media_type, actor=request.user, **body
        )


class ImportAgentCard(_Import):
    @extend_schema(request=_FILE, parameters=_AROUND[:2], responses={201: words.ImportedOut})
    def post(self, request: Request) -> Response:
        """Import an A2A agent card (0.2 to 1.0) as a Draft with its skills."""
        return self.import_file(request)

    def bring_in(self, request: Request, data: bytes, media_type: str, body: dict[str, Any]) -> Any:
        return services.import_agent_card(
            tenant=tenant_of(request),
            data=data,
            actor=request.user,
            reason=body["reason"],
            template=body.get("template"),
        )


class GenomeSchema(APIView):
    @extend_schema(responses={(200, "application/schema+json"): OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """The JSON Schema of a genome (2020-12)."""
        return Response(words.genome_schema(), content_type="application/schema+json")


def step_out(step: queries.Step) -> dict[str, Any]:
    """A step as the API shows it."""
    return {
        "to": step.to,
        "allowed": step.allowed,
        "ready": step.ready,
        "verdicts": [asdict(verdict) for verdict in step.verdicts],
    }


def _decoded(prefix: str, text: str, pointer: str) -> UUID:
    try:
        return ids.decode(prefix, text)
    except ValueError as problem:
        raise Invalid(
            str(problem), [Problem(pointer=pointer, code="invalid", message=str(problem))]
        ) from problem


def row_of(model: type[Model], pointer: str, request: Request, **by: Any) -> Any:
    """`named` over all rows of a model."""
    return named(model._default_manager.all(), pointer, request.user, **by)
