"""A request body in either encoding → the batch of its events, and the spans that could not be read."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import msgspec

from telemetry.parsing import admission, otlp_json, values, wire
from telemetry.parsing.attribution import Entangled, inherit
from telemetry.parsing.blocks import Block
from telemetry.parsing.errors import BadSpan, UnsupportedMedia
from telemetry.parsing.events import Event, Resource
from telemetry.parsing.layouts import FEW, Found, Layouts
from telemetry.parsing.mapping import Mapper, mapped, resource_of

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
SPAN_EVENTS_MAX: Final = 128
BAD_KEPT_BYTES: Final = 4096


class Bad(msgspec.Struct):
    """A span that could not be read: why, and the beginning of its bytes (protobuf or JSON, content and all)."""

    detail: str
    raw: bytes


class Batch(msgspec.Struct):
    events: list[Event]
    bad: list[Bad]
    blocks: list[Block] = []
    """Further events, in columns."""


def media_type(content_type: str) -> str:
    """PROTOBUF or JSON out of a Content-Type header. UnsupportedMedia for anything else."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (PROTOBUF, JSON):
        raise UnsupportedMedia(f"Content-Type “{kind[:60]}” is not supported; use {PROTOBUF} or {JSON}.")
    return kind


def parse(body: bytes, media: str, *, tenant_id: UUID, provider_id: UUID, singly: bool = False) -> Batch:
    """All spans of a plain (decompressed) body, normalised, with their trace's job, cost centre and outcome.

    Many alike come in blocks, unless they are wanted `singly`: the same events, each as an object.
    Raises Undecodable when the body is no request at all; one malformed span only lands in `bad`.
    """
    mapper = Mapper(tenant_id=tenant_id, provider_id=provider_id)
    if media == PROTOBUF and not singly:
        with suppress(Entangled):
            batch = Batch([], [])
            _protobuf(body, mapper, batch, singly=False)
            inherit(batch.events, batch.blocks)
            return batch
    batch = Batch([], [])
    if media == PROTOBUF:
        _protobuf(body, mapper, batch, singly=True)
    else:
        _json(body, mapper, batch)
    inherit(batch.events)
    return batch


_layouts: Final = Layouts()


def _protobuf(body: bytes, mapper: Mapper, batch: Batch, *, singly: bool) -> None:
    by_layout, event_of = _layouts.read, mapper.event
    append = batch.events.append
    for group in wire.request(body).resource_spans:
        try:
            resource = resource_of(wire.table(group.resource.attributes))
        except BadSpan as problem:
            batch.bad += [
                _bad(problem, wire.span(data).SerializeToString())
                for part in group.scope_spans
                for data in part.spans
            ]
            continue
        for part in group.scope_spans:
            spans: Iterable[bytes] = part.spans
            if not singly and len(part.spans) >= FEW:
                blocks, spans = _layouts.in_columns(part.spans, resource, mapper)
                batch.blocks += blocks
            for data in spans:
                try:
                    append(event_of(resource, *(by_layout(data) or _by_fields(data))))
                except BadSpan as problem:
                    batch.bad.append(_bad(problem, wire.span(data).SerializeToString()))


def _by_fields(data: bytes) -> Found:
    """A span read in general: any fields in any order. Its layout is learned for the next like it.

    Undecodable when the bytes are no span, BadSpan when something in it is malformed.
    """
    span = wire.span(data)
    table = wire.table(span.attributes)
    events = span.events
    if events:
        _add_span_events(table, map(wire.span_event, events))
    status = span.status
    said = mapped(table, wire.status_code(status) if status else 0)
    if not events:
        _layouts.learn(data, table, said)
    return span.trace_id, span.span_id, span.parent_span_id, span.start, span.end, said


def _json(body: bytes, mapper: Mapper, batch: Batch) -> None:
    for group in otlp_json.request(body).resource_spans or ():
        spans = [span for part in group.scope_spans or () for span in part.spans or ()]
        try:
            resource = _json_resource(group)
        except BadSpan as problem:
            batch.bad += [_bad(problem, bytes(span)) for span in spans]
            continue
        for raw in spans:
            try:
                batch.events.append(_json_event(mapper, resource, otlp_json.span(raw)))
            except BadSpan as problem:
                batch.bad.append(_bad(problem, bytes(raw)))


def _json_resource(group: otlp_json.ResourceSpans) -> Resource:
    attributes = group.resource.attributes if group.resource else None
    return resource_of(otlp_json.table(attributes or ()))


def _json_event(mapper: Mapper, resource: Resource, span: otlp_json.Span) -> Event:
    attributes = otlp_json.table(span.attributes or ())
    if span.events:
        _add_span_events(attributes, map(otlp_json.span_event, span.events))
    return mapper.event(
        resource,
        otlp_json.identifier(span.trace_id),
        otlp_json.identifier(span.span_id),
        otlp_json.identifier(span.parent_span_id),
        otlp_json.nanoseconds(span.start_time_unix_nano),
        otlp_json.nanoseconds(span.end_time_unix_nano),
        mapped(attributes, otlp_json.status_code(span.status)),
    )


def _add_span_events(table: dict[str, Any], events: Iterable[tuple[str, list[tuple[str, Any]]]]) -> None:
    """What span events say about their span: the exception's type, and digests of messages (GenAI 1.36 and earlier)."""
    for number, (name, attributes) in enumerate(events):
        if number == SPAN_EVENTS_MAX:
            break
        for key, value in attributes:
            if key == "exception.type":
                table.update([admission.admit("event:exception.type", value)])
            elif name.startswith("gen_ai.") or admission.is_content(key):
                table[f"content:{name}:{number}:{key}"] = values.content_digest(value)


def _bad(problem: BadSpan, raw: bytes) -> Bad:
    return Bad(str(problem), raw[:BAD_KEPT_BYTES])
