"""Recorded decisions: a list that is never counted, and one decision with everything it went by."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.views.generic import DetailView

from arm import ids
from arm.rights import Right
from arm.views import FilteredList, Scoped
from policy.filters import DecisionFilter
from policy.models import Decision
from policy.queries import decisions as queries
from policy.views.commands import actor_of

PAGE = 50


class DecisionList(FilteredList):
    """Newest first; pages go by key (`?before=dec_…`), since the rows of a day may be millions."""

    queryset = Decision.objects.select_related("instance").order_by("-pk")
    view_right = Right.READ_DECISIONS
    filterset_class = DecisionFilter
    template_name = "policy/decision_list.html"
    paginate_by = None  # type: ignore[assignment]
    csv_limit = 10_000
    columns = (
        ("id", "typeid"),
        ("at", "at"),
        ("instance", "instance.name"),
        ("action", lambda row: row.get_action_display()),
        ("tool", "tool"),
        ("risk", lambda row: row.get_risk_display()),
        ("decision", lambda row: row.get_decision_display()),
        ("would", lambda row: row.get_would_display()),
        ("job", "job"),
        ("outcome", "outcome"),
        ("run", "run"),
    )

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        if before := self.request.GET.get("before", ""):
            try:
                rows = rows.filter(pk__lt=ids.decode(Decision.prefix, before))
            except ValueError:
                raise Http404 from None
        return rows

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = list(self.object_list[: PAGE + 1])
        query = self.request.GET.copy()
        query["before"] = found[PAGE - 1].typeid if len(found) > PAGE else ""
        context = super().get_context_data(object_list=found[:PAGE], **kwargs)
        context["rows"] = found[:PAGE]
        context["next_url"] = f"?{query.urlencode()}" if query["before"] else ""
        query.pop("before")
        context["first_url"] = f"?{query.urlencode()}" if self.request.GET.get("before") else ""
        return context


class DecisionDetail(Scoped, DetailView[Decision]):
    queryset = Decision.objects.select_related("instance__template", "instance__environment")
    view_right = Right.READ_DECISIONS
    template_name = "policy/decision_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.decision_page(self.object, actor_of(self.request))
        return super().get_context_data(page=page, **kwargs)
