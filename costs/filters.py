"""Filters of the ledger, rates and caps: the page, the API and the CSV ask the same questions."""

from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet

from arm import clock, ids
from registry.filters import SlugFilter, TypeIDFilter, environments
from registry.filters.questions import seen
from registry.models import AgentTemplate, Project, RoleDefinition
from telemetry.filters import NONE, CodeFilter, StreamFilter, TimedForm

from .models import Cap, CostModel, LedgerEntry
from .pricing import Basis


class LedgerFilter(StreamFilter):
    """Entries of a time by their tags; `none` finds those without."""

    instance = TypeIDFilter("ins", field_name="instance", label="Instance (ins_…)")
    version = TypeIDFilter("ver", field_name="version", label="Version (ver_…)")
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")
    project = django_filters.CharFilter(method="of_project", label="Project (prj_…)")
    environment = SlugFilter(
        field_name="environment__slug",
        label="Environment",
        to_field_name="slug",
        queryset=environments,
        widget=forms.CheckboxSelectMultiple,
        distinct=False,
    )
    role = django_filters.CharFilter(method="played", label="Role (short name)")
    cost_center = CodeFilter(label="Cost centre")
    outcome = CodeFilter(label="Outcome")
    job = django_filters.CharFilter(method="worked_on", label="Job")
    model_provider = CodeFilter(label="Model provider")
    model = CodeFilter(label="Model")
    currency = CodeFilter(label="Currency")
    basis = django_filters.ChoiceFilter(
        method="based",
        label="Basis",
        choices=[(b.name.lower(), b.name.replace("_", " ").capitalize()) for b in Basis],
    )
    attributed = django_filters.ChoiceFilter(
        method="charged", label="Charged", choices=[("true", "To a job or outcome"), ("false", "To nothing")]
    )

    class Meta:
        model = LedgerEntry
        fields: list[str] = []
        form = TimedForm

    def of_project(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Of agents that belong to it now, where the visitor sees the project."""
        try:
            projects = seen(Project.objects.filter(pk=ids.decode("prj", value.strip())), self.request)
        except ValueError:
            return rows.none()
        agents = AgentTemplate.objects.filter(project__in=projects.values("pk"))
        return rows.filter(template__in=agents.values("pk"))

    def played(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        if value == NONE:
            return rows.filter(role=None)
        return rows.filter(role__in=RoleDefinition.objects.filter(slug=value).values("pk"))

    def worked_on(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(job="" if value == NONE else value)

    def based(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(basis=Basis[value.upper()])

    def charged(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        loose = Q(job="", outcome=None)
        return rows.filter(loose if value == "false" else ~loose)


class RateFilter(django_filters.FilterSet):  # type: ignore[misc]
    model = django_filters.CharFilter(field_name="model", lookup_expr="icontains", label="Model")
    provider = django_filters.CharFilter(field_name="provider", label="Model provider")
    in_force = django_filters.ChoiceFilter(
        method="now", label="In force", choices=[("true", "Now"), ("false", "Ended or to come")]
    )

    class Meta:
        model = CostModel
        fields: list[str] = []

    def now(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        at = clock.now()
        current = Q(starts_at__lte=at) & (Q(ends_at=None) | Q(ends_at__gt=at))
        return rows.filter(current if value == "true" else ~current)


class CapFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Without a choice, the caps that are in force."""

    instance = TypeIDFilter("ins", field_name="instance", label="Instance (ins_…)")
    environment = SlugFilter(
        field_name="instance__environment__slug",
        label="Environment",
        to_field_name="slug",
        queryset=environments,
        widget=forms.CheckboxSelectMultiple,
        distinct=False,
    )
    ended = django_filters.ChoiceFilter(
        method="over", label="Which", choices=[("true", "Ended"), ("all", "All")], empty_label="In force"
    )

    class Meta:
        model = Cap
        fields: list[str] = []

    def over(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows  # `filter_queryset` decides, also without a choice

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().filter_queryset(queryset)
        which = self.form.cleaned_data["ended"]
        return rows if which == "all" else rows.exclude(until=None) if which else rows.filter(until=None)
