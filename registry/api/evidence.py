"""Endpoints of signed documents about versions."""

from typing import Any

from django.http import Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, StrictSerializer, TypeIDField, tenant_of, validated
from arm.errors import Invalid, Problem
from arm.models import SecurityEvent
from arm.permissions import allowed, require
from arm.rights import Right
from arm.services import note_security
from evidence.lifecycle import ArtefactKind
from evidence.models import ArtefactFile
from registry import filters, queries, services
from registry.api.base import DirectoryViewSet, created, named
from registry.api.serializers import Out, Reasoned, also_shown
from registry.models import AgentVersion, VersionEvidence
from registry.protocol.a2a import BINDINGS, Interface
from registry.protocol.cyclonedx import SPECS


class EvidenceFileOut(serializers.ModelSerializer[ArtefactFile]):
    """A file that is there: `digest` is `sha256:` and what `sha256sum` of it says."""

    class Meta:
        model = ArtefactFile
        fields = ("kind", "name", "media_type", "digest", "size", "made_at")


@also_shown
class EvidenceOut(Out):
    """`state` is how far it has come; with a `problem` its next step has failed."""

    noun = "evidence"
    id = TypeIDField("evd", source="pk")
    version = TypeIDField("ver", source="version_id")
    rollback = TypeIDField("rbk", source="rollback_id", allow_null=True)
    state = serializers.CharField(source="artefact.state")
    times = serializers.DictField(child=serializers.DateTimeField(), source="artefact.times")
    problem = serializers.CharField(source="artefact.problem")
    kid = serializers.CharField(source="artefact.key.kid", default=None, allow_null=True)
    files = EvidenceFileOut(many=True, source="artefact.files")

    class Meta:
        model = VersionEvidence
        fields = ("id", "url", "kind", "version", "rollback", "state", "times", "problem", "kid", "files")


class InterfaceIn(StrictSerializer):
    url = serializers.URLField(max_length=2048)
    binding = serializers.ChoiceField(BINDINGS, default=BINDINGS[0])
    protocol_version = serializers.CharField(max_length=16, default="1.0")


class EvidenceIn(Reasoned):
    """`interfaces` belong to an A2A agent card: where the agent answers. `spec` belongs to a signed BOM."""

    kind = serializers.ChoiceField(ArtefactKind.choices)
    version = TypeIDField("ver")
    interfaces = InterfaceIn(many=True, required=False, default=list)
    spec = serializers.ChoiceField(SPECS, default="1.7")


class EvidenceViewSet(DirectoryViewSet[VersionEvidence]):
    """Agent Cards, Audit Packs, signed BOMs, and the dossiers of rollbacks."""

    queryset = VersionEvidence.objects.for_list().prefetch_related("artefact__files")
    serializer_class = EvidenceOut
    filterset_class = filters.EvidenceFilter
    view_right = Right.READ_EVIDENCE
    prefix = "evd"

    @extend_schema(request=EvidenceIn, responses={201: EvidenceOut})
    def create(self, request: Request) -> Response:
        """Issue a card or export a pack; it is made in the background. 409 while one of this kind is being made."""
        body = validated(EvidenceIn, request)
        version = named(AgentVersion.objects.all(), "/version", request.user, pk=body["version"])
        about = {"version": version, "actor": request.user, "reason": body["reason"]}
        match body["kind"]:
            case ArtefactKind.AGENT_CARD:
                made = services.issue_card(**about)
            case ArtefactKind.AUDIT_PACK:
                made = services.export_pack(**about)
            case ArtefactKind.BOM:
                made = services.sign_bom(spec=body["spec"], **about)
            case ArtefactKind.DOSSIER:
                message = "The dossier of a rollback is asked for at …/rollbacks/rbk_…/dossier/."
                raise Invalid(message, [Problem(pointer="/kind", code="choice", message=message)])
            case ArtefactKind.LINEAGE | ArtefactKind.EVALUATION:
                made = services.issue_sheet(kind=ArtefactKind(body["kind"]), **about)
            case _:
                interfaces = [Interface(**one) for one in body["interfaces"]]
                made = services.publish_a2a_card(interfaces=interfaces, **about)
        return created(EvidenceOut(made))

    @extend_schema(request=Reasoned, responses=EvidenceOut)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, id: str) -> Response:
        """Try a step that failed once more, now; 409 where none has failed."""
        held = self.get_object()
        body = validated(Reasoned, request)
        services.retry_evidence(held=held, actor=request.user, reason=body["reason"])
        return Response(EvidenceOut(self.get_object()).data)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], url_path=r"files/(?P<kind>[a-z]+)")
    def files(self, request: Request, id: str, kind: str) -> HttpResponse:
        """A file as it was made (`envelope`, `pdf`, `pack`, `card`), its digest as ETag. A line of the security log."""
        held: VersionEvidence = self.get_object()
        file: Any = held.artefact.files.filter(kind=kind).first()
        if file is None:
            raise Http404
        right = queries.right_to_take(file)
        may = allowed(request.user, right, held)
        note_security(
            SecurityEvent.Kind.EXPORTED if may else SecurityEvent.Kind.REFUSED,
            file.name if may else f"download {file.name}",
            user=request.user,
            tenant=tenant_of(request),
            detail={"artefact": held.typeid, "file": file.name, "digest": file.digest},
        )
        require(request.user, right, held)
        return HttpResponse(
            bytes(file.content),
            content_type=file.media_type,
            headers={
                "ETag": f'"{file.digest}"',
                "Content-Disposition": f'attachment; filename="{file.name}"',
            },
        )
