"""Filters of what is exchanged with others."""

from typing import Any

import django_filters
from django.db.models import QuerySet

from registry.lifecycle import ImportState
from registry.models import CardKeySource, TableImport


class CardKeyFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Without a choice, what is in force."""

    ended = django_filters.ChoiceFilter(
        method="over", label="Which", choices=(("ended", "Ended"), ("all", "All")), empty_label="In force"
    )

    class Meta:
        model = CardKeySource
        fields: list[str] = []

    def over(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows  # `filter_queryset` decides, also without a choice

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().filter_queryset(queryset)
        which = self.form.cleaned_data["ended"]
        return rows if which == "all" else rows.exclude(until=None) if which else rows.filter(until=None)


class TableImportFilter(django_filters.FilterSet):  # type: ignore[misc]
    state = django_filters.ChoiceFilter(choices=ImportState.choices, label="State", empty_label="Any")
    kind = django_filters.ChoiceFilter(choices=TableImport.Kind.choices, label="Of", empty_label="Everything")

    class Meta:
        model = TableImport
        fields: list[str] = []
