"""Real OTLP bytes: spans made by the unmodified OpenTelemetry SDK, encoded by its exporter's own encoder."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from telemetry.parsing import JSON, PROTOBUF, Batch, Event, parse

TENANT, PROVIDER = UUID(int=7 << 64), UUID(int=9 << 64)
START = 1_790_000_000_123_456_789  # 2026-09-21, in nanoseconds


def exported(spans: Callable[[Tracer], None], resource: Mapping[str, Any] | None = None) -> bytes:
    """What the exporter would send for the spans that the function makes."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource(dict(resource or {})))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    spans(provider.get_tracer("tests"))
    provider.shutdown()
    return encode_spans(memory.get_finished_spans()).SerializeToString()


def one(
    attributes: Mapping[str, Any], resource: Mapping[str, Any] | None = None, name: str = "chat"
) -> bytes:
    """A request of one span, one second long."""

    def make(tracer: Tracer) -> None:
        span = tracer.start_span(name, attributes=dict(attributes), start_time=START)
        span.end(START + 1_000_000_000)

    return exported(make, resource)


def as_json(body: bytes) -> bytes:
    """The same request in OTLP/JSON: protobuf's JSON but for ids, which OTLP writes in hexadecimal."""
    request = json_format.MessageToDict(ExportTraceServiceRequest.FromString(body))

    def in_hex(value: Any) -> Any:
        if isinstance(value, list):
            return [in_hex(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: base64.b64decode(item).hex()
            if key in ("traceId", "spanId", "parentSpanId")
            else in_hex(item)
            for key, item in value.items()
        }

    return json.dumps(in_hex(request)).encode()


def read(body: bytes, media: str = PROTOBUF) -> Batch:
    return parse(body, media, tenant_id=TENANT, provider_id=PROVIDER)


def event(attributes: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> Event:
    """The event of one span with these attributes; protobuf and JSON must agree on it."""
    body = one(attributes, resource)
    batch, again = read(body), read(as_json(body), JSON)
    assert batch == again
    assert batch.bad == []
    (found,) = batch.events
    return found


def kept(found: Event) -> dict[str, Any]:
    """The event's leftover attributes."""
    members: dict[str, Any] = json.loads(found.attributes)
    return members
