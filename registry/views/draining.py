"""The page of everything that drains, with why it is not retired yet."""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from arm.rights import Right
from registry import queries
from registry.filters.draining import DrainingFilter
from registry.models import AgentInstance
from registry.views.cursors import CursorList

AT_ONCE = 500
"""Rows of a file whose work in flight is asked for together."""


class DrainingList(CursorList):
    queryset = queries.all_draining()
    view_right = Right.READ_DIRECTORY
    filterset_class = DrainingFilter
    template_name = "registry/draining_list.html"
    columns = (
        ("id", "instance.typeid"),
        ("name", "instance.name"),
        ("agent", "instance.template.name"),
        ("version", "instance.version.number"),
        ("environment", "instance.environment.slug"),
        ("provider", "instance.provider.slug"),
        ("draining since", "instance.state_since"),
        ("waits for", "said"),
    )

    def get_queryset(self) -> QuerySet[Any]:
        rows: Any = queries.with_why(super().get_queryset())
        return _Told(rows) if self.exports else rows  # type: ignore[return-value]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["rows"] = queries.why_not_retired(context["object_list"])
        return context


class _Told:
    """The rows of the file: each with why it is not retired yet."""

    def __init__(self, rows: QuerySet[AgentInstance]) -> None:
        self.rows = rows

    def __getitem__(self, part: slice) -> "_Told":
        return _Told(self.rows[part])

    def __iter__(self) -> Iterator[queries.Drains]:
        held = list(self.rows)
        for first in range(0, len(held), AT_ONCE):
            yield from queries.why_not_retired(held[first : first + AT_ONCE])
