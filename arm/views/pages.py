"""The core's own pages: the fleet, changes, search, the component gallery."""

from typing import Any

from django.http import HttpRequest
from django.views.generic import DetailView, TemplateView

from arm import clock
from arm.crypto import canonical, digest
from arm.filters import ChangeFilter
from arm.models import ChangeRecord
from arm.panels import panels, search
from arm.rights import Right
from arm.templatetags.ui.gallery import samples
from arm.views.base import FilteredList, Scoped


class Home(TemplateView):
    """The fleet page: panels of every app, refreshed by themselves."""

    template_name = "arm/home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = panels("HOME_PANELS", self.request, self.request.tenant) if self.request.tenant else []  # type: ignore[attr-defined]
        return super().get_context_data(panels=found, at=clock.now(), **kwargs)

    def get_template_names(self) -> list[str]:
        partial = getattr(self.request, "htmx", False) and not self.request.htmx.boosted  # type: ignore[attr-defined]
        return ["arm/_home_panels.html" if partial else self.template_name]


class ChangeList(FilteredList):
    """The governance stream of the tenant, newest first."""

    queryset = ChangeRecord.objects.all()
    view_right = Right.READ_AUDIT
    filterset_class = ChangeFilter
    template_name = "arm/change_list.html"
    columns = (
        ("at", "at"),
        ("actor", "actor_label"),
        ("verb", "verb"),
        ("target", "target_label"),
        ("reason", "reason"),
        ("request", "request_id"),
        ("digest", "digest"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(csv_url=self.request.path, **kwargs)


class ChangeDetail(Scoped, DetailView[ChangeRecord]):
    """One record, and whether its digest still is the digest of what it says."""

    queryset = ChangeRecord.objects.all()
    view_right = Right.READ_AUDIT
    template_name = "arm/change_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        record: ChangeRecord = self.object
        return super().get_context_data(intact=digest(canonical(record.body())) == record.digest, **kwargs)


class Search(TemplateView):
    """Everything the visitor may see whose name, identifier or digest matches; for the palette, the hits alone."""

    template_name = "arm/search.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        text = self.request.GET.get("q", "").replace("\0", "").strip()[:200]
        hits = search(self.request, text) if text else []
        return super().get_context_data(query=text, search_query=text, hits=hits, **kwargs)

    def get_template_names(self) -> list[str]:
        partial = getattr(self.request, "htmx", False) and not self.request.htmx.boosted  # type: ignore[attr-defined]
        return ["arm/_palette_hits.html" if partial else self.template_name]


class Gallery(TemplateView):
    """Every component in every state: what a page may be built from."""

    template_name = "arm/gallery.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query: HttpRequest = self.request
        return super().get_context_data(**samples(query.GET.dict()), **kwargs)
