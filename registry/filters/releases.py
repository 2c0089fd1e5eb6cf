"""Filters of rollouts, rollbacks and exceptions."""

import django_filters
from django import forms

from registry.engine import RolloutState
from registry.filters import SearchSet, TypeIDFilter, among, environments
from registry.models import ReleaseException, RoleDefinition, Rollback, Rollout


class RolloutFilter(SearchSet):
    searched = ("role__name", "role__slug")

    state = django_filters.MultipleChoiceFilter(
        choices=RolloutState.choices, widget=forms.CheckboxSelectMultiple, label="State"
    )
    environment = among("environment", environments)
    version = TypeIDFilter("ver", field_name="version", label="Version (ver_…)")
    slot = TypeIDFilter("slt", field_name="slots__slot", label="Slot (slt_…)")

    class Meta:
        model = Rollout
        fields: list[str] = []


class ChannelFilter(SearchSet):
    """Roles that have a slot."""

    searched = ("name", "slug")

    class Meta:
        model = RoleDefinition
        fields: list[str] = []


class RollbackFilter(django_filters.FilterSet):  # type: ignore[misc]
    slot = TypeIDFilter("slt", field_name="slot", label="Slot (slt_…)")
    version = TypeIDFilter("ver", field_name="from_version", label="Version left (ver_…)")

    class Meta:
        model = Rollback
        fields: list[str] = []


class ExceptionFilter(django_filters.FilterSet):  # type: ignore[misc]
    slot = TypeIDFilter("slt", field_name="slot", label="Slot (slt_…)")
    version = TypeIDFilter("ver", field_name="version", label="Version (ver_…)")

    class Meta:
        model = ReleaseException
        fields: list[str] = []
