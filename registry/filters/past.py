"""The questions that the fleet at an instant answers: for the page, the comparison, the CSV and the API."""

from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.db.models import QuerySet

from arm import clock, ids
from arm.forms import MomentInput

from ..lifecycle import InstanceState
from ..models import AgentInstance
from ..queries.history import Moment, Was, all_then, instances_at
from . import SearchSet, TypeIDFilter, among, environments, providers

LIVE = [state for state in InstanceState if state is not InstanceState.RETIRED]
AHEAD = "That moment has not come yet."


class PastForm(forms.Form):
    """Two clocks that make sense together."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        now = clock.now()
        for name in ("at", "known"):
            if (moment := cleaned.get(name)) is not None and moment > now:
                self.add_error(name, AHEAD)
        at, known = cleaned.get("at"), cleaned.get("known")
        if known is not None and known < (at or now):
            self.add_error("known", "What was so at a moment cannot have been told before it.")
        return cleaned


def _moment(label: str) -> django_filters.IsoDateTimeFilter:
    return django_filters.IsoDateTimeFilter(method="kept", label=label, widget=MomentInput())


class PastFilter(SearchSet):
    """Instances as they were at `at`, as far as ARM had been told by `known`. Retired ones only if asked for."""

    searched = ("name",)

    at = _moment("At (UTC)")
    known = _moment("As told by (UTC)")
    state = django_filters.MultipleChoiceFilter(
        method="kept", choices=InstanceState.choices, widget=forms.CheckboxSelectMultiple, distinct=False, label="State then"
    )  # fmt: skip
    environment = among("environment", environments)
    provider = among("provider", providers)
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")
    version = TypeIDFilter("ver", field_name="then_version", label="Version then (ver_…)")

    class Meta:
        model = AgentInstance
        form = PastForm
        fields: list[str] = []

    def kept(self, rows: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        """Both clocks and the state are read by `filter_queryset`."""
        return rows

    @property
    def moment(self) -> Moment:
        """The moment that is asked for; now, the same now throughout, where it is left out."""
        if not hasattr(self, "_at"):
            told = self.form.cleaned_data if self.is_valid() else {}
            self._at = Moment.of(told.get("at"), told.get("known"))
        return self._at

    def placed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """What the filters leave that do not depend on the moment."""
        for name in ("q", "environment", "provider", "template"):
            rows = self.filters[name].filter(rows, self.form.cleaned_data[name])
        return rows

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.form.cleaned_data
        rows: QuerySet[Any] = instances_at(self.moment, self.placed(queryset))
        rows = self.filters["version"].filter(rows, asked["version"])
        return rows.filter(then_state__in=asked["state"] or LIVE)

    @property
    def everyone(self) -> list[Was] | None:
        """The same instances for counting; None where there are too many. Of a valid question."""
        asked = self.form.cleaned_data
        found = all_then(self.moment, self.placed(self.queryset))
        if found is None:
            return None
        states = asked["state"] or LIVE
        return [row for row in found if row.state in states and self._runs(row.version_id)]

    def _runs(self, version_id: UUID) -> bool:
        wanted = self.form.cleaned_data["version"].strip()
        return not wanted or wanted in (ids.encode("ver", version_id), str(version_id))
