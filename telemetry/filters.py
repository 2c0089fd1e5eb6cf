"""One filter set per list: the page, the API and the CSV ask the same questions."""

import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import F, Q, QuerySet

from arm import clock, ids
from arm.filters import MomentFilter
from registry.filters import SearchSet, SlugFilter, TypeIDFilter, environments, providers
from registry.models import AgentInstance, InstanceInterval

from .lifecycle import LIVE, IncidentKind, IncidentState, Severity
from .models import Code, Event, Incident, QuarantinedEvent
from .models.quarantine import REASONS
from .parsing import EventType, Flag, Status


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
    environment = SlugFilter(
        field_name="environment__slug",
        label="Environment",
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


NONE = "none"
"""Written where a tag is asked for that a row does not have."""
AHEAD = timedelta(minutes=15)
"""Clocks differ: an event may say that it is a little later than now."""


class TimedForm(forms.Form):
    """A span of time that ends after it begins."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until <= since:
            raise ValidationError("The time ends before it begins.")
        return cleaned


def _moment(label: str) -> MomentFilter:
    return MomentFilter(method="kept", label=label)


def _received(compare: str, label: str) -> MomentFilter:
    return MomentFilter("received_at", compare, label=label)


class StreamFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Rows of a partitioned stream: always within a time, so that only its partitions are read."""

    usual = timedelta(days=1)

    since = _moment("From (UTC)")
    until = _moment("Until (UTC)")

    def kept(self, rows: QuerySet[Any], name: str, value: datetime) -> QuerySet[Any]:
        return rows  # `filter_queryset` names both ends at once

    def bounds(self) -> tuple[datetime, datetime]:
        """The time in force: what was asked for, else the last `usual` until now."""
        asked = self.form.cleaned_data
        until = asked.get("until") or clock.now() + AHEAD
        return asked.get("since") or until - self.usual, until

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since, until = self.bounds()
        rows: QuerySet[Any] = super().filter_queryset(queryset)
        return rows.filter(occurred_at__gte=since, occurred_at__lt=until)


class CodeFilter(django_filters.CharFilter):  # type: ignore[misc]
    """A name that rows carry as a number; `none` finds the rows without one."""

    def filter(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        if not value:
            return rows
        if value == NONE:
            return rows.filter(**{f"{self.field_name}__isnull": True})
        return rows.filter(**{f"{self.field_name}__in": codes_of(value)})


def codes_of(text: str) -> list[int]:
    """The numbers of this name in the tenants in sight."""
    return list(Code.objects.filter(text=text.strip()).values_list("pk", flat=True))


class ByInstances(TypeIDFilter):
    """Rows of a version or an agent. Streams are indexed by instance, so its instances are found first: those of the
    version are the ones that have run it at any time."""

    most = 1000

    def filter(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        found: QuerySet[Any] = super().filter(rows, value)
        if not value or found.query.is_empty():
            return found
        key: UUID = ids.decode(self.prefix, value.strip())
        ran: QuerySet[Any, UUID]
        if self.prefix == "ver":
            ran = InstanceInterval.objects.filter(version=key).order_by().values_list("instance", flat=True)
        else:
            ran = AgentInstance.objects.filter(template=key).order_by().values_list("pk", flat=True)
        instances = list(ran.distinct()[: self.most])
        return found if len(instances) == self.most else found.filter(instance__in=instances)


class TraceForm(TimedForm):
    """A trace is looked for at one instance or within an hour: an index on traces would cost each span that comes."""

    within = timedelta(hours=1)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not cleaned.get("trace") or cleaned.get("instance"):
            return cleaned
        since, until = cleaned.get("since"), cleaned.get("until")
        if since is None or (until or clock.now()) - since > self.within:
            self.add_error("trace", "Name its instance too, or a time of at most an hour.")
        return cleaned


_TRACE = re.compile(r"[0-9a-f]{32}", re.ASCII)


def _trace_id(value: str) -> None:
    if not _TRACE.fullmatch(value):
        raise ValidationError("A trace id is 32 lower-case hexadecimal digits.")


class EventFilter(StreamFilter):
    """What agents did: where, what, with what, and how it ended."""

    instance = TypeIDFilter("ins", field_name="instance", label="Instance (ins_…)")
    version = ByInstances("ver", field_name="version", label="Version (ver_…)")
    template = ByInstances("tpl", field_name="template", label="Agent (tpl_…)")
    environment = SlugFilter(
        field_name="environment__slug",
        label="Environment",
        to_field_name="slug",
        queryset=environments,
        widget=forms.CheckboxSelectMultiple,
        distinct=False,
    )
    type = django_filters.MultipleChoiceFilter(
        method="typed",
        choices=[(t.name.lower(), t.name.replace("_", " ").capitalize()) for t in EventType],
        widget=forms.CheckboxSelectMultiple,
    )
    status = django_filters.MultipleChoiceFilter(
        method="ended",
        choices=[(s.name.lower(), s.name.capitalize()) for s in Status],
        widget=forms.CheckboxSelectMultiple,
    )
    noticed = django_filters.ChoiceFilter(
        method="flagged",
        label="Noticed",
        choices=[(flag.name.lower(), flag.name.replace("_", " ").capitalize()) for flag in Flag if flag.name],
    )
    model = django_filters.CharFilter(method="modelled", label="Model")
    tool = CodeFilter(label="Tool")
    job = django_filters.CharFilter(field_name="job", label="Job")
    conversation = django_filters.CharFilter(field_name="conversation", label="Conversation")
    trace = django_filters.CharFilter(method="traced", label="Trace (32 digits)", validators=[_trace_id])

    class Meta:
        model = Event
        fields: list[str] = []
        form = TraceForm

    def traced(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(trace_id=UUID(hex=value))

    def typed(self, rows: QuerySet[Any], name: str, value: list[str]) -> QuerySet[Any]:
        return rows.filter(type__in=[EventType[v.upper()] for v in value]) if value else rows

    def ended(self, rows: QuerySet[Any], name: str, value: list[str]) -> QuerySet[Any]:
        return rows.filter(status__in=[Status[v.upper()] for v in value]) if value else rows

    def flagged(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        flag = Flag[value.upper()].value
        found: QuerySet[Any] = rows.annotate(seen=F("flags").bitand(flag)).filter(seen=flag)
        return found

    def modelled(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        codes = codes_of(value)
        return rows.filter(Q(model_used__in=codes) | Q(model_used=None, model_requested__in=codes))


class QuarantineFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Spans that could not be linked, by reason, by where they came from and by when they came."""

    reason = django_filters.MultipleChoiceFilter(
        choices=REASONS, widget=forms.CheckboxSelectMultiple, distinct=False
    )
    environment = SlugFilter(
        field_name="environment__slug",
        label="Environment",
        to_field_name="slug",
        queryset=environments,
        widget=forms.CheckboxSelectMultiple,
        distinct=False,
    )
    provider = SlugFilter(
        field_name="provider__slug",
        label="Provider",
        to_field_name="slug",
        queryset=providers,
        widget=forms.CheckboxSelectMultiple,
        distinct=False,
    )

    since = _received("gte", "Received from (UTC)")
    until = _received("lt", "Received until (UTC)")

    class Meta:
        model = QuarantinedEvent
        fields: list[str] = []
        form = TimedForm
