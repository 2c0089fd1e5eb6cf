"""What agents did and what could not be linked to any of them, in the admin: to read, filter and export."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from arm.admin import ScopedAdmin
from arm.rights import Right

from ..models import Event, Job, QuarantineCount, QuarantinedEvent
from ..queries import way_out
from .streams import Period, StreamAdmin

NAMES = (
    "model_provider",
    "model_requested",
    "model_used",
    "tool",
    "error",
    "finish",
    "cost_center",
    "outcome",
)


@admin.register(Event)
class EventAdmin(StreamAdmin):
    view_right = Right.READ_TELEMETRY
    traced = True
    list_display = (
        "occurred_at",
        "typeid_",
        "type",
        "status",
        "instance",
        "environment",
        "model_or_tool",
        "job",
        "duration",
    )
    list_select_related = ("instance", "environment", "model_used", "model_requested", "tool")
    list_filter = (Period, "type", "status", "environment", "provider")
    fields = readonly_fields = (
        "typeid_",
        "occurred_at",
        "received_at",
        "type",
        "status",
        "noticed_",
        "instance",
        "version",
        "template",
        "environment",
        "provider",
        "trace",
        "span",
        "parent",
        "duration",
        "first_token",
        "model_provider",
        "model_requested",
        "model_used",
        "finish",
        "tool",
        "error",
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "job",
        "cost_center",
        "outcome",
        "conversation",
        "generation",
        "content",
        "attributes_",
        "mapper_version",
    )
    export_columns = (
        ("id", "typeid"),
        ("occurred at", "occurred_at"),
        ("type", "get_type_display"),
        ("status", "get_status_display"),
        ("instance", "instance.name"),
        ("environment", "environment.slug"),
        ("model", lambda event: event.model_used or event.model_requested),
        ("tool", "tool"),
        ("job", "job"),
        ("input tokens", "input_tokens"),
        ("output tokens", "output_tokens"),
        ("duration ms", "duration_ms"),
        ("trace", "trace_id.hex"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        if request.resolver_match and "object_id" in request.resolver_match.kwargs:
            return rows.select_related("instance", "version__template", "template", "environment", *NAMES)
        return rows.defer("attributes", "content_digest")

    @admin.display(description="Model or tool")
    def model_or_tool(self, row: Event) -> str:
        return str(row.tool or row.model_used or row.model_requested or "")

    @admin.display(description="Took")
    def duration(self, row: Event) -> str:
        return "" if row.duration_ms is None else f"{row.duration_ms:,} ms"

    @admin.display(description="First token after")
    def first_token(self, row: Event) -> str:
        return "" if row.ttft_ms is None else f"{row.ttft_ms:,} ms"

    @admin.display(description="Noticed")
    def noticed_(self, row: Event) -> str:
        return ", ".join(row.noticed)

    @admin.display(description="Trace")
    def trace(self, row: Event) -> str:
        return row.trace_id.hex

    @admin.display(description="Span")
    def span(self, row: Event) -> str:
        return row.span_hex

    @admin.display(description="Parent span")
    def parent(self, row: Event) -> str:
        return row.parent_hex

    @admin.display(description="Digest of the content")
    def content(self, row: Event) -> str:
        return f"sha256:{bytes(row.content_digest).hex()}" if row.content_digest else ""

    @admin.display(description="Attributes")
    def attributes_(self, row: Event) -> str:
        return json.dumps(json.loads(row.attributes), indent=2, ensure_ascii=False)


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(ScopedAdmin):
    view_right = Right.READ_TELEMETRY
    list_display = ("received_at", "reason", "detail", "environment", "provider", "occurred_at")
    list_display_links = ("received_at", "detail")
    list_select_related = ("environment", "provider")
    list_filter = ("reason", "environment", "provider")
    search_fields = ("detail",)
    fields = readonly_fields = (
        "reason",
        "detail",
        "what_to_do",
        "environment",
        "provider",
        "occurred_at",
        "received_at",
        "span",
    )
    export_columns = (
        ("id", "typeid"),
        ("received at", "received_at"),
        ("occurred at", "occurred_at"),
        ("reason", "reason"),
        ("detail", "detail"),
        ("environment", "environment.slug"),
        ("provider", "provider.slug"),
    )

    @admin.display(description="What to do")
    def what_to_do(self, row: QuarantinedEvent) -> str:
        return way_out(row.reason)

    @admin.display(description="Span without its content")
    def span(self, row: QuarantinedEvent) -> str:
        return json.dumps(row.payload, indent=2, ensure_ascii=False)


@admin.register(QuarantineCount)
class QuarantineCountAdmin(ScopedAdmin):
    """All that was held back, also what was not kept."""

    view_right = Right.READ_TELEMETRY
    list_display = ("day", "reason", "spans", "environment", "provider")
    list_select_related = ("environment", "provider")
    list_filter = ("reason", "environment", "provider")
    ordering = ("-day", "-spans")
    fields = readonly_fields = ("day", "reason", "spans", "environment", "provider")
    export_columns = (
        ("day", "day"),
        ("reason", "reason"),
        ("spans", "spans"),
        ("environment", "environment.slug"),
        ("provider", "provider.slug"),
    )


@admin.register(Job)
class JobAdmin(ScopedAdmin):
    """Pieces of work as agents have named them."""

    view_right = Right.READ_TELEMETRY
    list_display = ("key", "outcome", "cost_center", "first_seen_at", "last_seen_at")
    search_fields = ("key",)
    search_help_text = "A job as it is written"
    ordering = ("-first_seen_at", "pk")
    sortable_by = ()
    fields = readonly_fields = ("key", "outcome", "cost_center", "first_seen_at", "last_seen_at")
    export_columns = (
        ("job", "key"),
        ("outcome", "outcome"),
        ("cost centre", "cost_center"),
        ("first seen", "first_seen_at"),
        ("last seen", "last_seen_at"),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Whole names only: they are many, and a job is found by its whole name."""
        return (queryset.called(search_term.strip()) if search_term else queryset), False
