"""Pages of signed documents: the list, one with its steps and files, and the verbs that make them."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from django.views.generic import DetailView

from arm import db, ids
from arm.middleware import agent_host
from arm.models import SecurityEvent, User
from arm.permissions import allowed, held_on
from arm.rights import Right
from arm.services import note_security
from arm.views import Scoped, current_tenant
from evidence.models import ArtefactFile
from registry import forms, queries, services
from registry.filters import EvidenceFilter
from registry.forms.exchange import BomForm
from registry.lifecycle import VersionState
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
    http_method_names = ("get",)  # a HEAD takes nothing away

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


class PublishA2ACard(_Make):
    form_class = forms.A2ACardForm
    act_rights = frozenset({Right.ISSUE_EVIDENCE})
    heading, submit = "Publish an A2A agent card", "Publish"
    intro = (
        "The card is signed (ES256) and then served to whoever asks at its address, without signing in. It names the"
        " version's skills, models and genome digest; no prompt, and no tool but the names of its servers."
    )
    success_message = "The card is being made."

    def run(self, actor: User, cleaned: dict[str, Any]) -> VersionEvidence:
        return services.publish_a2a_card(
            version=self.object, interfaces=cleaned["interfaces"], actor=actor, reason=cleaned["reason"]
        )


class SignBom(_Make):
    form_class = BomForm
    act_rights = frozenset({Right.ISSUE_EVIDENCE})
    heading, submit = "Sign a BOM", "Sign"
    intro = (
        "The version's CycloneDX BOM becomes an in-toto statement about its genome, signed by your organisation's key (DSSE),"
        " entered in the log and verified in the background."
    )
    success_message = "The BOM is being signed."

    def run(self, actor: User, cleaned: dict[str, Any]) -> VersionEvidence:
        return services.sign_bom(
            version=self.object, actor=actor, spec=cleaned["spec"], reason=cleaned["reason"]
        )


@login_not_required
@require_safe
def a2a_card(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A published agent card, for A2A clients, which have no account here. Others' caches may keep it for a minute."""
    with db.tenants(db.all_tenants()):
        file = queries.published_card(pk)
        retired = file is not None and AgentVersion.objects.filter(pk=pk, state=VersionState.RETIRED).exists()
    if retired:
        return HttpResponse(
            "This version is retired.\n", status=410, content_type="text/plain; charset=utf-8"
        )
    return _card(request, file)


@login_not_required
@require_safe
def a2a_card_of_template(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The card that speaks for an agent now: an address that stays when its versions change."""
    with db.tenants(db.all_tenants()):
        file = queries.current_card(pk)
    return _card(request, file)


@login_not_required
@require_safe
def a2a_card_of_host(request: HttpRequest) -> HttpResponse:
    """`/.well-known/agent-card.json`: the card of the agent whose name was asked for (`ARM_AGENT_HOSTS`)."""
    template = settings.AGENT_HOSTS.get(agent_host(request))
    if template is None:
        raise Http404
    return a2a_card_of_template(request, ids.decode("tpl", template))


def _card(request: HttpRequest, file: ArtefactFile | None) -> HttpResponse:
    if file is None:
        raise Http404
    known = request.headers.get("If-None-Match") == f'"{file.digest}"'
    answer = HttpResponse(b"" if known else bytes(file.content), status=304 if known else 200)
    answer["Content-Type"] = "application/json"
    answer["ETag"] = f'"{file.digest}"'
    answer["Cache-Control"] = "public, max-age=60"
    answer["Access-Control-Allow-Origin"] = "*"
    return answer


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
