"""What agents did, and what could not be linked to any of them."""

import json
from typing import Any

from django.db.models import QuerySet
from django.views.generic import DetailView

from arm.permissions import visible
from arm.rights import Right
from arm.views import FilteredList, Scoped

from ..filters import EventFilter, QuarantineFilter
from ..models import Event, QuarantineCount, QuarantinedEvent
from ..queries import quarantined_by_reason, trace_of, way_out
from .streams import StreamList


class EventList(StreamList):
    """The stream of the last day, or of the time asked for."""

    queryset = Event.objects.for_list()
    view_right = Right.READ_TELEMETRY
    filterset_class = EventFilter
    template_name = "telemetry/event_list.html"
    prefix = "evt"
    columns = (
        ("id", "typeid"),
        ("occurred at", "occurred_at"),
        ("type", "get_type_display"),
        ("status", "get_status_display"),
        ("instance", "instance.name"),
        ("version", lambda event: f"{event.template} v{event.version.number}"),
        ("environment", "environment.slug"),
        ("model", lambda event: event.model_used or event.model_requested),
        ("tool", "tool"),
        ("job", "job"),
        ("input tokens", "input_tokens"),
        ("output tokens", "output_tokens"),
        ("duration ms", "duration_ms"),
    )


class EventDetail(Scoped, DetailView[Event]):
    """One event, its trace, and the job it belongs to."""

    queryset = Event.objects.select_related(
        "instance",
        "template",
        "version__template",
        "environment",
        "provider",
        "model_provider",
        "model_requested",
        "model_used",
        "finish",
        "tool",
        "error",
        "cost_center",
        "outcome",
    )
    view_right = Right.READ_TELEMETRY
    template_name = "telemetry/event_detail.html"

    def get_queryset(self) -> QuerySet[Any]:
        rows: Any = super().get_queryset()
        found: QuerySet[Any] = rows.by_id(self.kwargs["pk"])
        return found

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        seen = visible(Event.objects.for_list(), self.request.user, self.view_right)
        digest = self.object.content_digest
        return super().get_context_data(
            trace=trace_of(self.object, seen),
            attributes=json.loads(self.object.attributes),
            content_digest=f"sha256:{bytes(digest).hex()}" if digest else "",
            **kwargs,
        )


class QuarantineList(FilteredList):
    """Spans that named nobody of ours: how many, why, and what to do about it."""

    queryset = QuarantinedEvent.objects.select_related("environment", "provider")
    view_right = Right.READ_TELEMETRY
    filterset_class = QuarantineFilter
    template_name = "telemetry/quarantine_list.html"
    columns = (
        ("id", "typeid"),
        ("received at", "received_at"),
        ("occurred at", "occurred_at"),
        ("reason", "reason"),
        ("detail", "detail"),
        ("environment", "environment.slug"),
        ("provider", "provider.slug"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        counts = visible(QuarantineCount.objects.all(), self.request.user, self.view_right)
        return super().get_context_data(counts=quarantined_by_reason(counts), **kwargs)


class QuarantineDetail(Scoped, DetailView[QuarantinedEvent]):
    queryset = QuarantinedEvent.objects.select_related("environment", "provider")
    view_right = Right.READ_TELEMETRY
    template_name = "telemetry/quarantine_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(way_out=way_out(self.object.reason), **kwargs)
