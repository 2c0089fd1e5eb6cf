"""Pages of versions: the Agent Card, its lifecycle, its differences, and imports."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse, reverse_lazy
from django.views.generic import DetailView

from arm import ids
from arm.models import User
from arm.panels import panels
from arm.permissions import held_on, visible
from arm.rights import Right
from arm.views import Scoped
from registry import forms, genome, queries, services
from registry.filters import VersionFilter
from registry.forms.lifecycles import RebindForm
from registry.lifecycle import VERSION_MOVES
from registry.models import AgentVersion
from registry.protocol import carried
from registry.queries.approving import approved_by
from registry.queries.climbing import climbs_of
from registry.queries.prompts import prompts_between
from registry.views.bulk import acts_on
from registry.views.commands import Command, Create, actor_of, may_anywhere
from registry.views.cursors import CursorList

MOVED = frozenset(right for moves in VERSION_MOVES.values() for right in moves.values())


class VersionList(CursorList):
    queryset = AgentVersion.objects.for_list()
    view_right = Right.READ_DIRECTORY
    filterset_class = VersionFilter
    template_name = "registry/version_list.html"
    columns = (
        ("id", "typeid"),
        ("agent", "template.name"),
        ("number", "number"),
        ("label", "label"),
        ("state", "state"),
        ("since", "state_since"),
        ("digest", "genome.digest"),
        ("completeness", "genome.completeness"),
        ("rebind by", "rebind_by"),
        ("created", "created_at"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may = may_anywhere(self.request, Right.CREATE_VERSION)
        bulk = acts_on(self.request, AgentVersion)
        context = super().get_context_data(may_create=may, bulk=bulk, **kwargs)
        shown = {row.genome_id for row in context["object_list"]}
        context["tampered"] = queries.tampered_among(shown)
        return context


class VersionDetail(Scoped, DetailView[AgentVersion]):
    """The Agent Card. Its digest is recomputed from the stored bytes each time the page is opened."""

    queryset = AgentVersion.objects.select_related("template", "genome", "created_by", "submitted_by")
    view_right = Right.READ_DIRECTORY
    template_name = "registry/version_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        read = services.read_version(self.object)
        page = queries.version_page(self.object, read.document, actor_of(self.request))
        found = panels("VERSION_PANELS", self.request, self.object)
        forced = ids.encode("inc", self.object.forced_by) if self.object.forced_by else ""
        return super().get_context_data(
            read=read,
            page=page,
            panels=found,
            climbs=climbs_of(self.object, actor_of(self.request)),
            approved=approved_by(self.object, page.rights),
            forced_id=forced,
            forced_url=f"{reverse('search')}?q={forced}" if forced else "",
            **kwargs,
        )


class GenomeDownload(Scoped, DetailView[AgentVersion]):
    """The exact bytes: `sha256sum` of the file is the digest in its name. Tampered bytes are not handed out."""

    queryset = AgentVersion.objects.select_related("template", "genome")
    view_right = Right.READ_DIRECTORY

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        version = self.get_object()
        try:
            file = services.take_genome(genome=version.genome, actor=actor_of(request))
        except services.Tampered:
            messages.error(request, "The stored genome does not match its digest; it is not handed out.")
            return redirect(version)
        answer = HttpResponse(file.content, content_type=file.media_type)
        answer["Content-Disposition"] = f'attachment; filename="{file.name}"'
        answer["ETag"] = f'"{file.digest}"'
        return answer


class VersionDiff(Scoped, DetailView[AgentVersion]):
    """Field by field against `?with=ver_…`, or against what the version comes from."""

    queryset = AgentVersion.objects.select_related("template", "genome")
    view_right = Right.READ_DIRECTORY
    template_name = "registry/version_diff.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        other = self._other()
        document = queries.stored_document(self.object)
        compared = queries.compare(self.object, document, other) if other else None
        text = self.request.GET.get("q", "").replace("\0", "")[:200]
        return super().get_context_data(
            other=other,
            comparison=compared,
            nearby=queries.comparable(self.object, text, actor_of(self.request)),
            text=text,
            prompted=prompts_between(actor_of(self.request), self.object, other),
            **kwargs,
        )

    def _other(self) -> AgentVersion | None:
        asked = self.request.GET.get("with", "")
        if not asked:
            return queries.predecessor(self.object)
        try:
            pk = ids.decode("ver", asked)
        except ValueError:
            raise Http404 from None
        seen: QuerySet[AgentVersion] = visible(
            AgentVersion.objects.select_related("template", "genome"), self.request.user, self.view_right
        )
        return get_object_or_404(seen, pk=pk)


class MoveVersion(Command):
    queryset = AgentVersion.objects.select_related("template", "genome")
    form_class = forms.MoveVersionForm
    act_rights = MOVED
    heading, submit = "Move the version", "Move"
    success_message = "The version was moved."
    template_name = "registry/version_move.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "targets": queries.version_targets(self.object)}

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "to": self.request.GET.get("to", "")}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        actor = actor_of(self.request)
        steps = queries.version_steps(self.object, actor)
        return super().get_context_data(steps=steps, rights=held_on(actor, self.object), **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentVersion:
        return services.move_version(version=self.object, actor=actor, **cleaned)


class SaveGenome(Command):
    queryset = AgentVersion.objects.select_related("template", "genome")
    form_class = forms.FileForm
    act_rights = frozenset({Right.CREATE_VERSION})
    heading, submit = "Give the draft another genome", "Save genome"
    success_message = "The genome is saved."

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentVersion:
        document = genome.read(cleaned["data"], media_type=cleaned["media_type"]).document
        return services.save_genome(
            version=self.object, genome=document, actor=actor, reason=cleaned["reason"]
        )

    def get_success_url(self) -> str:
        url: str = self.result.get_absolute_url()
        return url


class ImportVersion(Create):
    form_class = forms.ImportForm
    act_right = Right.CREATE_VERSION
    heading, submit = "Import an agent", "Import"
    intro = (
        "A genome, an agent card, a BOM or a record becomes a draft. A draft may lack things; what is there must be "
        "right, and what the file does not say is not made up."
    )
    cancel_url = reverse_lazy("registry:version_list")  # type: ignore[assignment]
    success_message = "The draft is stored."
    template_name = "registry/version_import.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(lost=carried.by_kind(), **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> services.ImportedVersion:
        common = {"tenant": self.object, "actor": actor, "reason": cleaned["reason"]}
        common |= {"data": cleaned["data"], "template": cleaned["template"]}
        match cleaned["kind"]:
            case "agent_card":
                return services.import_agent_card(**common)
            case "cyclonedx":
                return services.import_bom(**common)
            case "oasf":
                return services.import_record(**common)
            case "mcp_server":
                return services.import_server(**common, base=cleaned["version"])
        names = {name: cleaned[name] for name in ("media_type", "name", "label")}
        return services.import_genome(**common, **names)

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        for note in getattr(getattr(self, "result", None), "notes", ()):
            messages.info(self.request, note)
        return answer

    def get_success_url(self) -> str:
        url: str = self.result.version.get_absolute_url()
        return url


class SetRebindDate(Command):
    queryset = AgentVersion.objects.select_related("template", "genome")
    form_class = RebindForm
    act_rights = frozenset({Right.PROMOTE_RELEASE})
    heading, submit = "Until when slots may still bind it", "Save"
    intro = "A deprecated version is bound nowhere anew. Slots that bind it still have until this moment."
    success_message = "The due date is set."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "by": self.object.rebind_by}

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentVersion:
        return services.set_rebind_date(version=self.object, actor=actor, **cleaned)
