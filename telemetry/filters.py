"""One filter set per list: the page, the API and the CSV ask the same questions."""

from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet

from registry.filters import SearchSet, TypeIDFilter, environments

from .lifecycle import LIVE, IncidentKind, IncidentState, Severity
from .models import Incident


class IncidentFilter(SearchSet):
    searched = ("title", "subject_label")

    severity = django_filters.MultipleChoiceFilter(
        choices=Severity.choices, widget=forms.CheckboxSelectMultiple, distinct=False
    )
    state = django_filters.MultipleChoiceFilter(
        choices=IncidentState.choices, widget=forms.CheckboxSelectMultiple, distinct=False
    )
    kind = django_filters.MultipleChoiceFilter(
        choices=IncidentKind.choices, widget=forms.CheckboxSelectMultiple, distinct=False
    )
    environment = django_filters.ModelMultipleChoiceFilter(
        field_name="environment__slug",
        to_field_name="slug",
        queryset=environments,
        widget=forms.CheckboxSelectMultiple,
        distinct=False,
    )
    owner = django_filters.CharFilter(method="owned", label="Owner (user name, or none)")
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")
    version = TypeIDFilter("ver", field_name="version", label="Version (ver_…)")
    instance = TypeIDFilter("ins", field_name="instance", label="Instance (ins_…)")

    class Meta:
        model = Incident
        fields: list[str] = []

    def owned(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        if value.strip() == "none":
            return rows.filter(owner=None)
        return rows.filter(owner__username=value.strip())


class IncidentQueueFilter(IncidentFilter):
    """The queue: without a choice of states, what is still somebody's business."""

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().filter_queryset(queryset)
        return rows if self.form.cleaned_data["state"] else rows.filter(state__in=LIVE)
