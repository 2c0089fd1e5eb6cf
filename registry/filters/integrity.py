"""Filters of sweeps and findings."""

from typing import Any

import django_filters
from django.db.models import QuerySet

from arm.filters import YesNo
from registry.models import IntegrityFinding, IntegritySweep

from . import TypeIDFilter


class SweepFilter(django_filters.FilterSet):  # type: ignore[misc]
    finished = YesNo("finished_at", "isnull", exclude=True)
    wrong = YesNo(method="found", label="Found something")

    class Meta:
        model = IntegritySweep
        fields: list[str] = []

    def found(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        return rows.filter(wrong__gt=0) if value else rows.filter(wrong=0)


class FindingFilter(django_filters.FilterSet):  # type: ignore[misc]
    open = YesNo("restored_at", "isnull")
    sweep = TypeIDFilter("swp", field_name="sweep")
    genome = TypeIDFilter("gen", field_name="genome")
    prompt = TypeIDFilter("prm", field_name="prompt")
    digest = django_filters.CharFilter()

    class Meta:
        model = IntegrityFinding
        fields: list[str] = []
