"""OTLP/protobuf: a narrow view of ExportTraceServiceRequest, and the attributes remembered by their bytes.

The official classes build a Python object for each key and each value: 17 us a span. This module reads the same wire
format through a descriptor of its own in which an attribute is just `bytes` (both are length-delimited, so the message
is the same), and keeps what those bytes meant: most of a program's attributes are the same again and again. 5 us a span.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as SpanStatus

from telemetry.parsing.admission import Admission, Admitted, admission
from telemetry.parsing.errors import BadSpan, Undecodable
from telemetry.parsing.memory import LONGEST, Memory

KEYS: Final = 4096
NESTING_MAX: Final = 16

_FIRST, _SECOND = 0x0A, 0x12  # tags of KeyValue.key and KeyValue.value, both length-delimited
_TEXT, _INTEGER = 0x0A, 0x18  # AnyValue.string_value, AnyValue.int_value

_FIELD = descriptor_pb2.FieldDescriptorProto


def _narrow_classes() -> tuple[Any, Any]:
    """The classes of a request whose spans stay bytes, and of a span whose attributes, events and status do. The field
    numbers are those of trace.proto."""
    file = descriptor_pb2.FileDescriptorProto(
        name="arm/narrow_trace.proto", package="arm.narrow", syntax="proto3"
    )

    def message(name: str, *fields: tuple[str, int, int, bool, str]) -> None:
        described = file.message_type.add(name=name)
        for field, number, kind, repeated, target in fields:
            described.field.add(
                name=field,
                number=number,
                type=kind,
                label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
                type_name=f".arm.narrow.{target}" if target else None,
            )

    raw, fixed, sub = _FIELD.TYPE_BYTES, _FIELD.TYPE_FIXED64, _FIELD.TYPE_MESSAGE
    message(
        "Span",
        ("trace_id", 1, raw, False, ""),
        ("span_id", 2, raw, False, ""),
        ("parent_span_id", 4, raw, False, ""),
        ("start", 7, fixed, False, ""),
        ("end", 8, fixed, False, ""),
        ("attributes", 9, raw, True, ""),
        ("events", 11, raw, True, ""),
        ("status", 15, raw, False, ""),
    )
    message("ScopeSpans", ("spans", 2, raw, True, ""))
    message("Resource", ("attributes", 1, raw, True, ""))
    message(
        "ResourceSpans", ("resource", 1, sub, False, "Resource"), ("scope_spans", 2, sub, True, "ScopeSpans")
    )
    message("Request", ("resource_spans", 1, sub, True, "ResourceSpans"))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    request, span = (pool.FindMessageTypeByName(f"arm.narrow.{name}") for name in ("Request", "Span"))
    return message_factory.GetMessageClass(request), message_factory.GetMessageClass(span)


NarrowRequest, NarrowSpan = _narrow_classes()


def request(body: bytes) -> Any:
    """The narrow request in these bytes. Undecodable when they are not a protobuf message of this shape."""
    try:
        return NarrowRequest.FromString(body)
    except DecodeError as error:
        raise Undecodable("The body is not an ExportTraceServiceRequest in protobuf.") from error


def span(data: bytes) -> Any:
    """The narrow span in these bytes. Undecodable when they are none: a body is what protobuf says it is as a whole."""
    try:
        return NarrowSpan.FromString(data)
    except DecodeError as error:
        raise Undecodable("The body is not an ExportTraceServiceRequest in protobuf.") from error


_keys: dict[bytes, Admission] = {}


def read(data: bytes) -> tuple[Admitted, bool]:
    """An encoded KeyValue, admitted, and whether to remember it. BadSpan when malformed.

    What is short and plain is read by hand: field 1 is the key, field 2 the AnyValue, whose first byte says what it is.
    """
    size = len(data)
    if 6 < size <= LONGEST and data[0] == _FIRST and data[1] < size - 5:
        end = 2 + data[1]
        if data[end] == _SECOND and data[end + 1] == size - end - 2:
            kind, at = data[end + 2], end + 3
            value: Any = None
            if kind == _TEXT and data[at] == size - at - 1:
                value = _utf8(data[at + 1 :])
            elif kind == _INTEGER and size - at == 2 and data[at] > 127 and data[at + 1] < 128:
                value = data[at] & 127 | data[at + 1] << 7
            if value is not None:
                key = data[2:end]
                known = _keys.get(key)
                if known is None:
                    if len(_keys) >= KEYS:
                        _keys.clear()
                    known = _keys[key] = admission(_utf8(key))
                return known.admit(value), known.repeats
    name, value = key_value(data)
    known = admission(name)
    return known.admit(value), known.repeats


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadSpan("An attribute is not valid UTF-8.") from error


admitted: Final[Callable[[bytes], Admitted]] = Memory(read).__getitem__


def table(attributes: Iterable[bytes]) -> dict[str, Any]:
    """Encoded attributes → admitted values by name. BadSpan when one is malformed."""
    return dict(map(admitted, attributes))


def key_value(data: bytes) -> tuple[str, Any]:
    """One encoded KeyValue as (key, JSON-like value). BadSpan when malformed."""
    try:
        pair = KeyValue.FromString(data)
        return pair.key, any_value(pair.value)
    except DecodeError as error:
        raise BadSpan("An attribute is not a KeyValue.") from error


def any_value(value: AnyValue, depth: int = 0) -> Any:
    """An AnyValue as str, bool, int, float, hex text of bytes, list, dict or None."""
    if depth > NESTING_MAX:
        raise BadSpan("An attribute is nested too deeply.")
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [any_value(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: any_value(item.value, depth + 1) for item in value.kvlist_value.values}
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind) if kind else None


_CODES: Final = {b"": 0, b"\x18\x01": 1, b"\x18\x02": 2}


def status_code(data: bytes) -> int:
    """The OTLP status code (0 unset, 1 ok, 2 error) of an encoded Status; its message is not read."""
    code = _CODES.get(data)
    if code is None:
        try:
            code = SpanStatus.FromString(data).code
        except DecodeError as error:
            raise BadSpan("The status is malformed.") from error
    return code


def span_event(data: bytes) -> tuple[str, list[tuple[str, Any]]]:
    """An encoded Span.Event as (name, attributes)."""
    try:
        event = Span.Event.FromString(data)
    except DecodeError as error:
        raise BadSpan("A span event is malformed.") from error
    return event.name, [(pair.key, any_value(pair.value)) for pair in event.attributes]
