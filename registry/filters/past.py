"""The questions that the fleet at an instant answers: for the page, the comparison, the CSV and the API."""

from datetime import datetime
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.db.models import Q, QuerySet

from arm import clock, ids
from arm.filters import MomentFilter

from ..lifecycle import InstanceState
from ..models import AgentInstance
from ..queries import of_many
from ..queries.history import Count, Moment, Was, all_then, counts, instances_at
from . import SearchSet, TypeIDFilter, among, by_words, environments, providers

LIVE = [state for state in InstanceState if state is not InstanceState.RETIRED]
AHEAD = "That moment has not come yet."
BEFORE = "What was so at a moment cannot have been told before it."


class PastForm(forms.Form):
    """Two clocks that make sense together."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        now = clock.now()
        for name in ("at", "known"):
            if (moment := cleaned.get(name)) is not None and moment > now:
                self.add_error(name, forms.ValidationError(AHEAD, code="future"))
        at, known = cleaned.get("at"), cleaned.get("known")
        if known is not None and known < (at or now):
            self.add_error("known", forms.ValidationError(BEFORE, code="told_before"))
        return cleaned


def _moment(label: str) -> MomentFilter:
    return MomentFilter(method="kept", label=label)


class PastFilter(SearchSet):
    """Instances as they were at `at`, as far as ARM had been told by `known`. Retired ones only if asked for."""

    now: datetime | None = None
    """What is left out is now: this one, where two moments are asked for together."""
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

    def search(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """As the list of today's instances does: by identifier, or by how words of the name begin."""
        return by_words(rows, value)

    def kept(self, rows: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        """Both clocks and the state are read by `filter_queryset`."""
        return rows

    @property
    def moment(self) -> Moment:
        """The moment that is asked for; now, the same now throughout, where it is left out."""
        if not hasattr(self, "_at"):
            told = self.form.cleaned_data if self.is_valid() else {}
            self._at = Moment.of(told.get("at"), told.get("known"), self.now)
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
        states = Q(then_state__in=asked["state"] or LIVE)
        return rows.filter(states if asked["state"] else of_many(states))

    @property
    def counts(self) -> tuple[Count, ...] | None:
        """How many of the same instances by environment and state; None where there are too many. Of a valid question."""
        asked = self.form.cleaned_data
        try:
            version = ids.decode("ver", wanted) if (wanted := asked["version"].strip()) else None
        except ValueError:
            return ()
        return counts(self.moment, self.placed(self.queryset), asked["state"] or LIVE, version)

    @property
    def whatever_runs(self) -> list[Was] | None:
        """The same instances whatever version they ran, for comparing: who left the version that is asked for is there still."""
        found = all_then(self.moment, self.placed(self.queryset))
        states = self.form.cleaned_data["state"] or LIVE
        return None if found is None else [row for row in found if row.state in states]

    def runs(self, version_id: UUID) -> bool:
        """Whether this is the version that is asked for; any is, where none is."""
        wanted = self.form.cleaned_data["version"].strip()
        return not wanted or wanted in (ids.encode("ver", version_id), str(version_id))
