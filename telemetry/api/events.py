"""What agents did, for machines: the stream by key, one event with its attributes. Nobody writes here but OTLP."""

import json
from typing import Any

from django.http import Http404
from rest_framework import serializers
from rest_framework.serializers import Serializer

from arm import ids
from arm.api import TypeIDField
from arm.rights import Right

from ..filters import EventFilter
from ..models import Event
from ..parsing import EventType, Status
from .asking import AskedViewSet, StreamPage


class EventOut(serializers.ModelSerializer[Event]):
    """One row of the stream. A member that was not reported is null; counts of tokens include cached ones."""

    id = TypeIDField("evt", source="pk")
    type = serializers.SerializerMethodField(help_text="What it is, like model_call or tool_call.")
    status = serializers.SerializerMethodField(help_text="ok, error, denied or cancelled.")
    instance = TypeIDField("ins", source="instance_id")  # type: ignore[assignment]  # DRF takes it off the class
    version = TypeIDField("ver", source="version_id")
    template = TypeIDField("tpl", source="template_id")
    environment = serializers.CharField(source="environment.slug")
    provider = serializers.CharField(source="provider.slug")
    trace_id = serializers.CharField(source="trace_id.hex", help_text="32 hexadecimal digits.")
    span_id = serializers.CharField(source="span_hex", help_text="16 hexadecimal digits.")
    parent_span_id = serializers.CharField(source="parent_hex", help_text="Empty for a root.")
    model_provider = serializers.CharField(source="model_provider.text", default=None)
    model_requested = serializers.CharField(source="model_requested.text", default=None)
    model_used = serializers.CharField(source="model_used.text", default=None)
    tool = serializers.CharField(source="tool.text", default=None)
    error = serializers.CharField(source="error.text", default=None)
    finish = serializers.CharField(source="finish.text", default=None)
    cost_center = serializers.CharField(source="cost_center.text", default=None)
    outcome = serializers.CharField(source="outcome.text", default=None)
    noticed = serializers.ListField(
        child=serializers.CharField(), help_text="What was noticed while linking, like model drift."
    )

    class Meta:
        model = Event
        fields: tuple[str, ...] = (
            "id",
            "type",
            "status",
            "occurred_at",
            "received_at",
            "duration_ms",
            "ttft_ms",
            "instance",
            "version",
            "template",
            "environment",
            "provider",
            "trace_id",
            "span_id",
            "parent_span_id",
            "model_provider",
            "model_requested",
            "model_used",
            "input_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "output_tokens",
            "reasoning_tokens",
            "finish",
            "tool",
            "error",
            "job",
            "cost_center",
            "outcome",
            "conversation",
            "noticed",
        )

    def get_type(self, event: Event) -> str:
        return EventType(event.type).name.lower()

    def get_status(self, event: Event) -> str:
        return Status(event.status).name.lower()


class EventDetailOut(EventOut):
    """One event with what has no field of its own, and the digest of the content that was not kept."""

    attributes = serializers.SerializerMethodField()
    content_digest = serializers.SerializerMethodField()

    class Meta(EventOut.Meta):
        fields: tuple[str, ...] = (
            *EventOut.Meta.fields,
            "generation",
            "content_digest",
            "mapper_version",
            "attributes",
        )

    def get_attributes(self, event: Event) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(event.attributes)
        return found

    def get_content_digest(self, event: Event) -> str | None:
        digest = event.content_digest
        return f"sha256:{bytes(digest).hex()}" if digest else None


class EventViewSet(AskedViewSet[Event]):
    """Events of the last day, or of `?since=&until=`, newest first; never counted. `type` and `status` may be given
    several times; a `trace` is looked for at one `instance` or within an hour."""

    queryset = Event.objects.for_list().select_related(
        "provider", "model_provider", "finish", "cost_center", "outcome"
    )
    view_right = Right.READ_TELEMETRY
    prefix = "evt"
    filterset_class = EventFilter
    pagination_class = StreamPage

    def get_serializer_class(self) -> type[Serializer[Any]]:
        return EventDetailOut if self.action == "retrieve" else EventOut

    def get_object(self) -> Event:
        try:
            key = ids.decode(self.prefix, self.kwargs["id"])
        except ValueError:
            raise Http404 from None
        rows: Any = self.get_queryset()
        found: Event | None = (
            rows.by_id(key).defer(None).first()
        )  # its time is in its key: no period is needed
        if found is None:
            raise Http404
        return found
