"""Filters of acts on many rows, and of their rows."""

import django_filters

from registry import services
from registry.models import BulkRow, BulkRun


class ActFilter(django_filters.FilterSet):  # type: ignore[misc]
    state = django_filters.ChoiceFilter(choices=BulkRun.State.choices, label="State", empty_label="Any")
    action = django_filters.ChoiceFilter(
        choices=sorted((act.name, act.label) for act in services.BULK_ACTIONS.values()), label="Act"
    )

    class Meta:
        model = BulkRun
        fields: list[str] = []


class ActRowFilter(django_filters.FilterSet):  # type: ignore[misc]
    foreseen = django_filters.ChoiceFilter(choices=[c for c in BulkRow.Foreseen.choices if c[0]])
    outcome = django_filters.ChoiceFilter(choices=[c for c in BulkRow.Outcome.choices if c[0]])

    class Meta:
        model = BulkRow
        fields: list[str] = []
