"""Endpoints of templates, versions, genomes and prompts."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView

from arm import ids
from arm.api import Request, refuse_unknown, tenant_of, validated
from arm.errors import Invalid, Problem
from arm.permissions import visible
from arm.rights import Right, Risk
from registry import filters, queries, services
from registry.api import serializers as words
from registry.api.approvals import ApprovalActions
from registry.api.base import DirectoryViewSet, created, named, unknown
from registry.api.exports import Exports, file_answer, held_by
from registry.api.lineage import LineageActions
from registry.lifecycle import VersionState
from registry.models import AgentTemplate, AgentVersion, Genome, Ownership, Project, Prompt, VersionParent

CURRENT_OWNERS = Prefetch("ownerships", Ownership.objects.filter(until=None).select_related("user"))
EDGES = Prefetch("parents", VersionParent.objects.only("version_id", "parent_id").order_by("pk"))


def spoken(body: dict[str, Any], request: Request) -> None:
    """Words of a request about an agent become what services take: its risk class, and the project by its short name."""
    if "risk" in body:
        body["risk"] = Risk(body["risk"])
    if body.get("project") is not None:
        body["project"] = named(Project.objects.all(), "/project", request.user, slug=body["project"])


def genome_bytes(genome: Genome, request: Request) -> HttpResponse:
    """The exact stored bytes with their digest as ETag; 409 and an incident where they do not match it."""
    held = held_by(request)
    answer = file_answer(services.take_genome(genome=genome, actor=request.user, held=held), held)
    answer["Content-Disposition"] = 'attachment; filename="genome.json"'
    return answer


class TemplateViewSet(DirectoryViewSet[AgentTemplate]):
    """Agents as people speak of them."""

    queryset = AgentTemplate.objects.prefetch_related(CURRENT_OWNERS)
    serializer_class = words.TemplateOut
    filterset_class = filters.TemplateFilter
    prefix = "tpl"

    def get_queryset(self) -> QuerySet[AgentTemplate]:
        rows: QuerySet[AgentTemplate] = super().get_queryset()
        return queries.with_project(rows, self.request.user)

    def hold(self, found: AgentTemplate) -> None:
        """Who is named is held before the agent, as by whoever leaves."""
        asked = {"owners": words.OwnersIn, "successors": words.SuccessorsIn}.get(self.action)
        if asked is not None:
            names = validated(asked, self.request)[self.action]
            named_so = services.people_named(found.tenant_id, names, self.action)
            services.hold_people(found.tenant, named_so)
        super().hold(found)

    @extend_schema(request=words.TemplateIn, responses={201: words.TemplateOut})
    def create(self, request: Request) -> Response:
        """Register an agent; who registers it owns it unless `owners` names others."""
        body = validated(words.TemplateIn, request)
        body["owners"] = services.people_named(tenant_of(request).pk, body.pop("owners", []))
        spoken(body, request)
        made = services.register_template(tenant=tenant_of(request), actor=request.user, **body)
        named_so = made.project.slug if made.project else None
        made.project_seen = named_so  # type: ignore[attr-defined]  # who named it sees it
        return created(words.TemplateOut(made))

    @extend_schema(request=words.TemplateChange, responses=words.TemplateOut)
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what describes the agent; its risk class needs the right to manage the directory."""
        template = self.get_object()
        body = validated(words.TemplateChange, request)
        spoken(body, request)
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
            owners=services.people_named(template.tenant_id, body.pop("owners")),
            actor=request.user,
            **body,
        )
        return Response(words.TemplateOut(self.get_object()).data)

    @extend_schema(methods=["get"], responses=words.SuccessorsOut)
    @extend_schema(methods=["put"], request=words.SuccessorsIn, responses=words.SuccessorsOut)
    @action(detail=True, methods=["get", "put"], pagination_class=None, filterset_class=None)
    def successors(self, request: Request, id: str) -> Response:
        """Who answers for the agent when an owner leaves, in order. PUT: exactly these."""
        template = self.get_object()
        if request.method == "PUT":
            body = validated(words.SuccessorsIn, request)
            wanted = services.people_named(template.tenant_id, body.pop("successors"), "successors")
            services.set_successors(template=template, successors=wanted, actor=request.user, **body)
        found = [user.username for user in queries.successors(template)]
        shown = {"successors": found, "ownerless": queries.is_ownerless(template)}
        return Response(words.SuccessorsOut(shown).data)


class VersionViewSet(ApprovalActions, Exports, LineageActions, DirectoryViewSet[AgentVersion]):
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
        body["to"] = VersionState(body["to"])
        moved = services.move_version(version=version, actor=request.user, **body)
        return Response(words.VersionOut(moved).data)

    @extend_schema(request=words.RebindIn, responses=words.VersionOut)
    @action(detail=True, methods=["post"])
    def due(self, request: Request, id: str) -> Response:
        """Until when slots may still bind a deprecated version; past that, an incident names them."""
        version = self.get_object()
        body = validated(words.RebindIn, request)
        return Response(
            words.VersionOut(services.set_rebind_date(version=version, actor=request.user, **body)).data
        )

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
            return genome_bytes(version.genome, request)
        body = validated(words.SaveGenomeIn, request)
        saved = services.save_genome(
            version=version, genome=body["genome"], actor=request.user, reason=body["reason"]
        )
        return Response(words.VersionOut(saved).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("with", str, description="The other version; default: its predecessor."),
            OpenApiParameter(
                "as", str, enum=["changes", "patch"], description="In words, or as a JSON Patch (RFC 6902)."
            ),
        ],
        responses=words.ChangeOut(many=True),
    )
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def diff(self, request: Request, id: str) -> Response:
        """Field by field, from the other version to this one: in words, or with `as=patch` as a JSON Patch that makes
        this version's genome of the other's."""
        refuse_unknown(request, ("as", "with", "format"))
        version = self.get_object()
        form = request.query_params.get("as", "changes")
        if form not in ("changes", "patch"):
            message = "Must be changes or patch."
            raise Invalid(message, [Problem(pointer="/as", code="enum", message=message)])
        asked = request.query_params.get("with", "")
        other = queries.predecessor(version)
        if asked:
            rows = AgentVersion.objects.select_related("template", "genome")
            other = named(rows, "/with", request.user, pk=decoded("ver", asked, "/with"))
        if other is None:
            return Response([])
        compared = queries.compare(version, queries.stored_document(version), other)
        if compared is None:
            raise services.Tampered("One of the two genomes cannot be read as it should be.")
        if form == "patch":
            return Response(compared.patch, content_type="application/json-patch+json")
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
        return genome_bytes(self.get_object(), request)


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
        """The text itself, digest as ETag; each look is a line of the security log. 409 and an incident where it does not
        match its digest."""
        held = held_by(request)
        file = services.take_prompt(prompt=self.get_object(), actor=request.user, held=held)
        return file_answer(file, held)


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


def decoded(prefix: str, text: str, pointer: str) -> UUID:
    """The key that a shown identifier stands for; Invalid with the pointer where it is none."""
    try:
        return ids.decode(prefix, text)
    except ValueError as problem:
        raise Invalid(
            str(problem), [Problem(pointer=pointer, code="invalid", message=str(problem))]
        ) from problem


def row_of(model: type[Model], pointer: str, request: Request, **by: Any) -> Any:
    """`named` over all rows of a model."""
    return named(model._default_manager.all(), pointer, request.user, **by)


def rows_of(request: Request, *asked: tuple[type[Model], str, UUID]) -> list[Any]:
    """The rows that a request names by (model, pointer, key), in order; Invalid names every pointer whose row the caller
    does not see, or that is not there."""
    keys: dict[type[Model], set[UUID]] = {}
    for model, _, pk in asked:
        keys.setdefault(model, set()).add(pk)
    found = {
        model: visible(model._default_manager.all(), request.user, Right.READ_DIRECTORY).in_bulk(list(pks))
        for model, pks in keys.items()
    }
    if problems := [unknown(pointer) for model, pointer, pk in asked if pk not in found[model]]:
        raise Invalid(problems[0]["message"], problems)
    return [found[model][pk] for model, _, pk in asked]
