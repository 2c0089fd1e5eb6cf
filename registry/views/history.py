"""Pages of the past: the fleet at an instant, two instants compared, and one instance as it was."""

from datetime import datetime
from typing import Any

from django.http import QueryDict
from django.views.generic import DetailView

from arm import clock, ids
from arm.models import User
from arm.rights import Right
from arm.views import FilteredList, Scoped
from registry import forms, queries, services
from registry.filters.past import PastFilter
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceInterval
from registry.views.commands import Command, actor_of
from registry.views.cursors import CursorList

ASKED = (
    ("from", "From (UTC)"),
    ("to", "To (UTC)"),
    ("from_known", "First as told by"),
    ("to_known", "Second as told by"),
)
SHOWN = 200
"""Rows of a comparison on its page; the API has all of them."""
PLACED = AgentInstance.objects.select_related("template", "environment", "provider")


class FleetAt(CursorList):
    """Which instances there were, what they were, and what had been said of them."""

    queryset = PLACED
    view_right = Right.READ_DIRECTORY
    filterset_class = PastFilter
    template_name = "registry/fleet_at.html"
    columns = (
        ("id", "typeid"),
        ("name", "name"),
        ("agent", "template.name"),
        ("version", lambda row: ids.encode("ver", row.then_version)),
        ("environment", "environment.slug"),
        ("provider", "provider.slug"),
        ("state", "then_state"),
        ("at", lambda row: clock.exactly(row.then_at)),
        ("known", lambda row: clock.exactly(row.then_known)),
        ("settled", lambda row: "yes" if queries.Moment(row.then_at, row.then_known).settled else "no"),
    )

    def _at(self, cursor: str) -> str:
        """The pages that follow are of the same moment, whatever happens meanwhile."""
        past: Any = self.filterset
        return f"?{_with(self.request.GET, {**past.moment.query, 'cursor': cursor})}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        past: PastFilter = context["filter"]
        moment = past.moment
        context["moment"] = moment
        context["rows"] = queries.seen_then(moment, context["object_list"])
        context["counts"] = past.counts if past.is_valid() else ()
        context["limit"] = queries.COUNTED
        context["columns"] = [(state.value, state.label) for state in InstanceState]
        context["permalink"] = _with(self.request.GET, moment.query)
        context["compare"] = _with(
            self.request.GET, {"from": moment.query["at"], "to": clock.exactly(clock.now())}, drop=("at", "known")
        )  # fmt: skip
        return context


class FleetChanged(FilteredList):
    """What was otherwise at a second moment. Both stand in the address, each by both clocks."""

    queryset = PLACED
    view_right = Right.READ_DIRECTORY
    template_name = "registry/fleet_changed.html"
    paginate_by = None  # type: ignore[assignment]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = clock.now()
        first, second = (self._side(name, now) for name in ("from", "to"))
        asked = bool(self.request.GET.get("from")) and first.is_valid() and second.is_valid()
        before, after = (first.whatever_runs, second.whatever_runs) if asked else (None, None)
        changed = None
        if before is not None and after is not None:
            changed = queries.difference(
                (first.moment, before), (second.moment, after), first.runs, shown=SHOWN
            )
        names = [((name, self.request.GET.get(name, "")), label) for name, label in ASKED]
        return super().get_context_data(
            sides=(first, second), changed=changed, asked=asked, names=names, limit=queries.COUNTED, **kwargs
        )

    def _side(self, name: str, now: datetime) -> PastFilter:
        query = self.request.GET.copy()
        query.pop("state", None)
        for clock_name, given in (("at", name), ("known", f"{name}_known")):
            query[clock_name] = query.get(given, "")
        asked = PastFilter(query, queryset=self.get_queryset(), request=self.request)
        asked.now = now
        return asked


class InstancePast(Scoped, DetailView[AgentInstance]):
    """One instance as it was, with everything that held for it then."""

    queryset = PLACED
    view_right = Right.READ_DIRECTORY
    template_name = "registry/instance_past.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = PastFilter(self.request.GET, queryset=AgentInstance.objects.none(), request=self.request)
        page = (
            queries.past_page(self.object, asked.moment, actor_of(self.request)) if asked.is_valid() else None
        )
        return super().get_context_data(
            filter=asked, moment=asked.moment, page=page, permalink=asked.moment.encoded, **kwargs
        )


class TellPast(Command):
    """History that comes late: what is wanted of the instance now stays as it is."""

    queryset = PLACED
    form_class = forms.PastStateForm
    act_rights = frozenset({Right.MANAGE_DIRECTORY})
    heading, submit = "Tell what it was", "Tell"
    intro = (
        "For what ARM was not told in time. It counts in the history from the moment that you name until the next thing that"
        " is known of the instance; the history also keeps that it was told only now. Nothing about its present changes."
    )

    def run(self, actor: User, cleaned: dict[str, Any]) -> InstanceInterval:
        told = services.tell_past(instance=self.object, actor=actor, **cleaned)
        self.success_message = f"{self.object} was {told.get_state_display().lower()} then, as told now."
        return told


def _with(query: QueryDict, more: dict[str, str], drop: tuple[str, ...] = ()) -> str:
    kept = query.copy()
    for name in ("cursor", "format", *drop):
        kept.pop(name, None)
    for name, value in more.items():
        kept[name] = value
    return kept.urlencode()
