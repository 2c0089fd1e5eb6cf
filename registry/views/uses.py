"""Who uses what: every tool, model, dataset, prompt and agent that some version depends on."""

from functools import partial
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.shortcuts import get_object_or_404

from arm.panels import scopes_of_visitor, seen_by_visitor
from arm.rights import Right
from arm.views import FilteredList, OncePaginator
from registry import queries
from registry.filters import DependencyFilter
from registry.models import AgentVersion, Dependency, Thing
from registry.views.commands import actor_of
from registry.views.cursors import CursorList


class UsesList(FilteredList):
    """One row per kind and name, with the versions that use it and the live instances of those versions."""

    queryset = Thing.objects.all()
    view_right = Right.READ_DIRECTORY
    filterset_class = DependencyFilter
    template_name = "registry/uses_list.html"
    paginator_class = OncePaginator
    columns = (("kind", "kind"), ("name", "name"), ("versions", "versions"))

    def get_queryset(self) -> QuerySet[Any]:
        right = Right.EXPORT if self.exports else self.view_right
        rows: QuerySet[Any] = queries.used_things(self._see(right))
        if self.exports:
            using = Dependency.objects.filter(
                tenant=OuterRef("tenant"), kind=OuterRef("kind"), name=OuterRef("name")
            )
            counted = self._see(right)(using).order_by().values("name")
            rows = rows.annotate(versions=Subquery(counted.annotate(n=Count("pk")).values("n")))
        return self.filtered(DependencyFilter, rows)

    def _see(self, right: Right) -> queries.See:
        return partial(seen_by_visitor, request=self.request, right=right)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        shown = list(context["object_list"])
        held = scopes_of_visitor(self.request, self.view_right)
        counts = queries.counts_of(shown, actor_of(self.request), held)
        names = queries.agent_names(shown, self._see(self.view_right))
        context["rows"] = [
            (
                thing.get_kind_display(),
                thing.name,
                used.versions,
                used.live,
                thing.get_absolute_url(),
                names.get(thing.pk, ""),
            )
            for thing in shown
            for used in [counts.get(thing.pk, queries.Used())]
        ]
        context["most"] = queries.USES_COUNTED
        return context


class UsesDetail(CursorList):
    """One thing: the versions that use it, the newest first, with their states and live instances."""

    queryset = AgentVersion.objects.for_list()
    view_right = Right.READ_DIRECTORY
    template_name = "registry/uses_detail.html"
    prefix = "thg"

    def get_queryset(self) -> QuerySet[Any]:
        self.see = partial(seen_by_visitor, request=self.request, right=self.view_right)
        self.thing = get_object_or_404(queries.used_things(self.see), pk=self.kwargs["pk"])
        seen = super().get_queryset()
        rows: QuerySet[Any] = queries.with_live(queries.users_of(self.thing, seen))
        return rows

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.uses_page(self.thing, self.see)
        agent = queries.agent_names([self.thing], self.see).get(self.thing.pk, "")
        return super().get_context_data(thing=self.thing, agent=agent, page=page, **kwargs)
