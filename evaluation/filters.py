"""One filter set per list: the page, the API and the CSV ask the same questions."""

from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet

from registry.filters import SearchSet, TypeIDFilter
from registry.staffing import Certified

from .lifecycle import RunState, Trigger
from .models import (
    AllowedHost,
    Assignment,
    Baseline,
    Certification,
    CertificationType,
    Endpoint,
    Result,
    Run,
    Suite,
    SuiteVersion,
)
from .scoring import Category, Outcome, Severity

_CHECKS = forms.CheckboxSelectMultiple
ENDED = [("true", "Ended"), ("all", "All")]


def _date(label: str, lookup: str) -> django_filters.DateFilter:
    widget = forms.DateInput(attrs={"type": "date"})
    return django_filters.DateFilter(field_name="created_at", lookup_expr=lookup, label=label, widget=widget)


class SuiteFilter(SearchSet):
    searched = ("name", "slug", "purpose")

    category = django_filters.MultipleChoiceFilter(choices=Category.choices, widget=_CHECKS, distinct=False)

    class Meta:
        model = Suite
        fields: list[str] = []


class SuiteVersionFilter(django_filters.FilterSet):  # type: ignore[misc]
    suite = TypeIDFilter("sui", field_name="suite", label="Suite (sui_…)")
    digest = django_filters.CharFilter(label="Digest")

    class Meta:
        model = SuiteVersion
        fields: list[str] = []


class RunFilter(SearchSet):
    """Search finds runs by the name of their suite or agent."""

    searched = ("suite__name", "template__name")

    state = django_filters.MultipleChoiceFilter(choices=RunState.choices, widget=_CHECKS, distinct=False)
    category = django_filters.MultipleChoiceFilter(
        field_name="suite__category",
        label="Category",
        choices=Category.choices,
        widget=_CHECKS,
        distinct=False,
    )
    trigger = django_filters.ChoiceFilter(choices=Trigger.choices, label="Started")
    counts = django_filters.ChoiceFilter(
        method="counting",
        label="Which",
        empty_label="All",
        choices=[("true", "The newest of each suite on versions in use")],
    )
    suite = TypeIDFilter("sui", field_name="suite", label="Suite (sui_…)")
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")
    version = TypeIDFilter("ver", field_name="version", label="Version (ver_…)")
    created_from = _date("Started from", "date__gte")
    created_to = _date("Started until", "date__lte")

    class Meta:
        model = Run
        fields: list[str] = []

    def counting(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        found: QuerySet[Any] = rows.counting()  # type: ignore[attr-defined]
        return found


class ResultFilter(django_filters.FilterSet):  # type: ignore[misc]
    outcome = django_filters.MultipleChoiceFilter(choices=Outcome.choices, widget=_CHECKS, distinct=False)
    severity = django_filters.MultipleChoiceFilter(choices=Severity.choices, widget=_CHECKS, distinct=False)
    problem = django_filters.CharFilter(label="Problem (code)")
    case = django_filters.CharFilter(label="Case")
    run = TypeIDFilter("run", field_name="run", label="Run (run_…)")

    class Meta:
        model = Result
        fields: list[str] = []


class InForce(django_filters.FilterSet):  # type: ignore[misc]
    """Without a choice, what is in force."""

    ended = django_filters.ChoiceFilter(method="over", label="Which", choices=ENDED, empty_label="In force")

    def over(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows  # `filter_queryset` decides, also without a choice

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().filter_queryset(queryset)
        which = self.form.cleaned_data["ended"]
        return rows if which == "all" else rows.exclude(until=None) if which else rows.filter(until=None)


class BaselineFilter(InForce):
    suite = TypeIDFilter("sui", field_name="suite", label="Suite (sui_…)")
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")

    class Meta:
        model = Baseline
        fields: list[str] = []


class AssignmentFilter(InForce):
    suite = TypeIDFilter("sui", field_name="suite", label="Suite (sui_…)")
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")

    class Meta:
        model = Assignment
        fields: list[str] = []


class EndpointFilter(InForce):
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")
    version = TypeIDFilter("ver", field_name="version", label="Version (ver_…)")

    class Meta:
        model = Endpoint
        fields: list[str] = []


class AllowedHostFilter(InForce):
    class Meta:
        model = AllowedHost
        fields: list[str] = []


class CertificationFilter(SearchSet):
    """By standing, type, and what is certified."""

    searched = ("type__name", "template__name")

    standing = django_filters.ChoiceFilter(
        method="stands", label="State", choices=[(one.value, one.value.title()) for one in Certified]
    )
    type = django_filters.CharFilter(field_name="type__slug", label="Type (short name)")
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")
    version = TypeIDFilter("ver", field_name="version", label="Version (ver_…)")

    class Meta:
        model = Certification
        fields: list[str] = []

    def stands(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        found: QuerySet[Any] = rows.standing_as(value)  # type: ignore[attr-defined]
        return found


class CertificationTypeFilter(SearchSet):
    searched = ("name", "slug", "purpose")

    class Meta:
        model = CertificationType
        fields: list[str] = []
