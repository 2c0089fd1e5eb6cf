"""Pages of signed documents: the list, one with its steps and files, and the verbs that make them."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.views.generic import DetailView

from arm.models import SecurityEvent, User
from arm.permissions import allowed, held_on
from arm.rights import Right
from arm.services import note_security
from arm.views import Scoped, current_tenant
from registry import forms, queries, services
from registry.filters import EvidenceFilter
from registry.models import AgentVersion, VersionEvidence
from registry.views.commands import Command
from registry.views.cursors import CursorList


class EvidenceList(CursorList):
    queryset = VersionEvidence.objects.for_list()
    view_right = Right.READ_EVIDENCE
    filterset_class = EvidenceFilter
    template_name = "registry/evidence_list.html"
    columns = (
        ("id", "artefact.typeid"),
        ("kind", "kind"),
        ("version", "version"),
        ("version id", "version.typeid"),
        ("state", "artefact.shown_state"),
        ("since", "artefact.state_since"),
        ("requested by", "artefact.requested_by"),
        ("requested", "artefact.requested_at"),
    )


class EvidenceDetail(Scoped, DetailView[VersionEvidence]):
    """How far a document has come, and its files."""

    queryset = VersionEvidence.objects.for_list()
    view_right = Right.READ_EVIDENCE
    template_name = "registry/evidence_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.evidence_page(self.object, held_on(self.request.user, self.object))
        return super().get_context_data(page=page, **kwargs)


class EvidenceFile(Scoped, DetailView[VersionEvidence]):
    """One file as it was made; each download is a line of the security log, and so is each refusal."""

    queryset = VersionEvidence.objects.for_list()
    view_right = Right.READ_EVIDENCE

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        held = self.get_object()
        file = held.artefact.files.filter(kind=self.kwargs["kind"]).first()
        if file is None or not isinstance(request.user, User):
            raise Http404
        detail = {"artefact": held.artefact.typeid, "file": file.name, "digest": file.digest}
        tenant, right = current_tenant(request), queries.right_to_take(file)
        if not allowed(request.user, right, held):
            note_security(
                SecurityEvent.Kind.REFUSED,
                f"download {file.name}",
                user=request.user,
                tenant=tenant,
                detail=detail,
            )
            raise PermissionDenied
        note_security(SecurityEvent.Kind.EXPORTED, file.name, user=request.user, tenant=tenant, detail=detail)
        answer = HttpResponse(bytes(file.content), content_type=file.media_type)
        answer["Content-Disposition"] = f'attachment; filename="{file.name}"'
        answer["ETag"] = f'"{file.digest}"'
        return answer


class _Make(Command):
    """Asks for a document about a version, and goes to where it comes to be."""

    queryset = AgentVersion.objects.select_related("template", "genome")
    form_class = forms.ReasonForm

    def get_success_url(self) -> str:
        url: str = self.result.get_absolute_url()
        return url


class IssueCard(_Make):
    act_rights = frozenset({Right.ISSUE_EVIDENCE})
    heading, submit = "Issue an Agent Card", "Issue"
    intro = (
        "The card says what the version is, may do and went through, as it is now. It is signed, rendered as a PDF,"
        " entered in the log and verified in the background."
    )
    success_message = "The card is being made."

    def run(self, actor: User, cleaned: dict[str, Any]) -> VersionEvidence:
        return services.issue_card(version=self.object, actor=actor, reason=cleaned["reason"])


class ExportPack(_Make):
    act_rights = frozenset({Right.EXPORT_AUDIT_PACK})
    heading, submit = "Export an Audit Pack", "Export"
    intro = (
        "The pack holds the version's cards, genome and change records with their proofs and our public keys, and says"
        " how to verify all of it without ARM. Who asks for it, and who downloads it, is recorded."
    )
    success_message = "The pack is being made."

    def run(self, actor: User, cleaned: dict[str, Any]) -> VersionEvidence:
        return services.export_pack(version=self.object, actor=actor, reason=cleaned["reason"])


class RetryEvidence(Command):
    queryset = VersionEvidence.objects.for_list()
    view_right = Right.READ_EVIDENCE
    form_class = forms.ReasonForm
    act_rights = frozenset(queries.RIGHT_TO_MAKE.values())
    heading, submit = "Try once more", "Try again"
    success_message = "It is tried again."

    def run(self, actor: User, cleaned: dict[str, Any]) -> VersionEvidence:
        return services.retry_evidence(held=self.object, actor=actor, reason=cleaned["reason"])
