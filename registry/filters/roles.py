"""The questions that lists of roles and assignments ask."""

from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet

from arm import clock
from arm.filters import TickBox, YesNo
from arm.models import User
from arm.rights import Risk

from .. import queries
from ..models import RoleAssignment, RoleDefinition
from . import SearchSet, TypeIDFilter, among, environments

ENDED = [("true", "Ended"), ("all", "All")]


class RoleFilter(SearchSet):
    searched = ("name", "slug", "purpose")

    risk = django_filters.MultipleChoiceFilter(
        choices=Risk.choices, widget=forms.CheckboxSelectMultiple, distinct=False
    )
    capability = django_filters.CharFilter(method="needing", label="Asks for the capability")
    certification = django_filters.CharFilter(method="certified", label="Asks for the certification")
    gaps = YesNo(method="lacking", label="Somebody is missing", widget=TickBox)

    class Meta:
        model = RoleDefinition
        fields: list[str] = []

    def needing(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(capabilities__contains=[{"name": value.strip().lower()}])

    def certified(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(certifications__contains=[value.strip().lower()])

    def lacking(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        user = getattr(self.request, "user", None)
        if not isinstance(user, User):
            return rows.none()
        found = queries.with_gaps(rows, user)
        return rows.filter(pk__in=found) if value else rows.exclude(pk__in=found)


class AssignmentFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Without a choice, what is in force or to come."""

    ended = django_filters.ChoiceFilter(
        method="over", label="Which", choices=ENDED, empty_label="In force or to come"
    )
    role = TypeIDFilter("rol", field_name="role", label="Role (rol_…)")
    version = TypeIDFilter("ver", field_name="version", label="Version (ver_…)")
    instance = TypeIDFilter("ins", field_name="instance", label="Instance (ins_…)")
    environment = among("environment", environments)

    class Meta:
        model = RoleAssignment
        fields: list[str] = []

    def over(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows  # `filter_queryset` decides, also without a choice

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: Any = super().filter_queryset(queryset)
        which = self.form.cleaned_data["ended"]
        if which != "all":
            rows = rows.filter(until__lte=clock.now()) if which else rows.open()
        found: QuerySet[Any] = rows
        return found
