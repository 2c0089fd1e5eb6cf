"""One filter set per list: the page, the API and the CSV ask the same questions."""

from datetime import timedelta
from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet

from arm import clock
from arm.filters import YesNo
from registry.filters import SearchSet, TypeIDFilter

from .lifecycle import ApprovalKind, ApprovalState, PolicyState, RestrictionState
from .models import (
    ApprovalRequest,
    Binding,
    Decision,
    Policy,
    PolicyVersion,
    Posture,
    RestrictionRequest,
    ToolRisk,
)
from .queries.decisions import first_key_at

_CHECKS = forms.CheckboxSelectMultiple


class ApprovalFilter(SearchSet):
    searched = ("title",)

    state = django_filters.MultipleChoiceFilter(choices=ApprovalState.choices, widget=_CHECKS)
    kind = django_filters.MultipleChoiceFilter(choices=ApprovalKind.choices, widget=_CHECKS)
    risk = django_filters.MultipleChoiceFilter(
        choices=[("green", "Green"), ("yellow", "Yellow"), ("red", "Red")], widget=_CHECKS
    )
    instance = TypeIDFilter("ins", field_name="instance", label="Instance (ins_…)")

    class Meta:
        model = ApprovalRequest
        fields: list[str] = []


class QueueFilter(ApprovalFilter):
    """What waits has no other state to choose."""

    state = None


class PolicyFilter(SearchSet):
    searched = ("name", "slug", "purpose")

    class Meta:
        model = Policy
        fields: list[str] = []


class PolicyVersionFilter(django_filters.FilterSet):  # type: ignore[misc]
    policy = TypeIDFilter("pol", field_name="policy", label="Policy (pol_…)")
    state = django_filters.MultipleChoiceFilter(choices=PolicyState.choices, widget=_CHECKS)
    digest = django_filters.CharFilter(label="Digest")

    class Meta:
        model = PolicyVersion
        fields: list[str] = []


class BindingFilter(django_filters.FilterSet):  # type: ignore[misc]
    policy = TypeIDFilter("pol", field_name="policy", label="Policy (pol_…)")
    on = django_filters.ChoiceFilter(
        method="about",
        label="Holds for",
        empty_label="anything",
        choices=[("tenant", "The whole tenant"), *((name, name.capitalize()) for name in Binding.names)],
    )
    ended = YesNo(
        method="over",
        label="Ended",
        widget=forms.Select(choices=[("", "in force"), ("true", "ended")]),
    )

    class Meta:
        model = Binding
        fields: list[str] = []

    def about(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return about(rows, value)

    def over(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        return rows.filter(until__isnull=not value)

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found: QuerySet[Any] = super().filter_queryset(queryset)
        return found if self.form.cleaned_data.get("ended") else found.filter(until=None)


class PostureFilter(django_filters.FilterSet):  # type: ignore[misc]
    on = django_filters.ChoiceFilter(
        method="about",
        label="Scope",
        empty_label="anything",
        choices=[("tenant", "The whole tenant"), *((name, name.capitalize()) for name in Posture.names)],
    )
    mode = django_filters.MultipleChoiceFilter(choices=Posture.MODES, widget=_CHECKS)

    class Meta:
        model = Posture
        fields: list[str] = []

    def about(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return about(rows, value)


class RestrictionFilter(PostureFilter):
    """By true state: one past its time is expired, whether or not that is written yet."""

    state = django_filters.MultipleChoiceFilter(
        method="truly", choices=RestrictionState.choices, widget=_CHECKS, label="State"
    )

    class Meta:
        model = RestrictionRequest
        fields: list[str] = []

    def truly(self, rows: QuerySet[Any], name: str, value: list[str]) -> QuerySet[Any]:
        if not value:
            return rows
        late = Q(state=RestrictionState.REQUESTED, expires_at__lte=clock.now())
        wanted = Q(state__in=[state for state in value if state != RestrictionState.EXPIRED]) & ~late
        if RestrictionState.EXPIRED in value:
            wanted |= late | Q(state=RestrictionState.EXPIRED)
        return rows.filter(wanted)


class StandingPostureFilter(PostureFilter):
    """For callers that have no tabs."""

    in_force = YesNo(method="standing", label="In force")

    def standing(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        now = Posture.objects.in_force().values("pk")
        return rows.filter(pk__in=now) if value else rows.exclude(pk__in=now)


class ToolFilter(SearchSet):
    searched = ("tool", "note")

    risk = django_filters.MultipleChoiceFilter(choices=ToolRisk.RISKS, widget=_CHECKS)

    class Meta:
        model = ToolRisk
        fields: list[str] = []


class DecisionFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Always within a time, so that a question never reads every day's partition."""

    SPANS = (("1", "last hour"), ("24", "last 24 hours"), ("168", "last 7 days"), ("720", "last 30 days"))

    tool = django_filters.CharFilter(lookup_expr="iexact", label="Tool", max_length=128)
    hours = django_filters.ChoiceFilter(
        method="since", label="Time", choices=SPANS, empty_label="last 7 days"
    )
    decision = django_filters.TypedMultipleChoiceFilter(choices=Decision.EFFECTS, coerce=int, widget=_CHECKS)
    instance = TypeIDFilter("ins", field_name="instance_id", label="Instance (ins_…)")
    version = TypeIDFilter("ver", field_name="version_id", label="Version (ver_…)")
    job = django_filters.CharFilter(label="Job", max_length=200)

    class Meta:
        model = Decision
        fields: list[str] = []

    def since(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows  # `filter_queryset` applies it, also where nothing was chosen

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found: QuerySet[Any] = super().filter_queryset(queryset)
        hours = int(self.form.cleaned_data.get("hours") or 168)
        return found.filter(pk__gte=first_key_at(clock.now() - timedelta(hours=hours)))


def about(rows: QuerySet[Any], kind: str) -> QuerySet[Any]:
    """The rows about one kind of target."""
    if kind == "tenant":
        return rows.filter(whole_tenant=True)
    return rows.filter(**{f"{kind}__isnull": False})
