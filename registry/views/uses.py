"""Who uses what: every tool, model, dataset, prompt and agent that some version depends on."""

from typing import Any

from django.db.models import Count, QuerySet

from arm.rights import Right
from arm.views import FilteredList
from registry import queries
from registry.filters import DependencyFilter
from registry.models import Dependency
from registry.views.commands import actor_of


class UsesList(FilteredList):
    """One row per kind and name, with the versions that use it and the live instances of those versions."""

    queryset = Dependency.objects.all()
    view_right = Right.READ_DIRECTORY
    filterset_class = DependencyFilter
    template_name = "registry/uses_list.html"
    columns = (
        ("kind", lambda row: row["kind"]),
        ("name", lambda row: row["name"]),
        ("versions", lambda row: row["versions"]),
    )

    def get_queryset(self) -> QuerySet[Any]:
        grouped: QuerySet[Any] = (
            super()
            .get_queryset()
            .order_by()
            .values("kind", "name")
            .annotate(versions=Count("version"))
            .order_by("kind", "name")
        )
        return grouped

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        shown = [(row["kind"], row["name"]) for row in context["object_list"]]
        live = queries.live_users(shown, actor_of(self.request))
        kinds = dict(Dependency.Kind.choices)
        context["rows"] = [
            (kinds[row["kind"]], row["name"], row["versions"], live.get((row["kind"], row["name"]), 0))
            for row in context["object_list"]
        ]
        return context
