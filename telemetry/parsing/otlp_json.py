"""OTLP/JSON: typed structs over the request; ids are hexadecimal, 64-bit integers text or number, unknown members ignored.

As in `wire`, an attribute stays its bytes until needed, and what the bytes meant is remembered.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec

from telemetry.parsing.admission import Admitted, admission
from telemetry.parsing.errors import BadSpan, Undecodable
from telemetry.parsing.memory import Memory
from telemetry.parsing.wire import NESTING_MAX


class _Camel(msgspec.Struct, rename="camel", gc=False):
    pass


class AnyValue(_Camel):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bytes_value: str | None = None
    array_value: "ArrayValue | None" = None
    kvlist_value: "KeyValueList | None" = None


class ArrayValue(_Camel):
    values: list[AnyValue] | None = None


class KeyValue(_Camel):
    key: str = ""
    value: AnyValue | None = None


class KeyValueList(_Camel):
    values: list[KeyValue] | None = None


class SpanStatus(_Camel):
    code: int | str | None = 0


class SpanEvent(_Camel):
    name: str | None = ""
    attributes: list[KeyValue] | None = None


class Span(_Camel):
    trace_id: str | None = ""
    span_id: str | None = ""
    parent_span_id: str | None = ""
    start_time_unix_nano: int | str | None = 0
    end_time_unix_nano: int | str | None = 0
    attributes: list[msgspec.Raw] | None = None
    events: list[msgspec.Raw] | None = None
    status: SpanStatus | None = None


class ScopeSpans(_Camel):
    spans: list[msgspec.Raw] | None = None


class Resource(_Camel):
    attributes: list[msgspec.Raw] | None = None


class ResourceSpans(_Camel):
    resource: Resource | None = None
    scope_spans: list[ScopeSpans] | None = None


class Request(_Camel):
    resource_spans: list[ResourceSpans] | None = None


_request = msgspec.json.Decoder(Request).decode
_span = msgspec.json.Decoder(Span).decode
_pair = msgspec.json.Decoder(KeyValue).decode
_event = msgspec.json.Decoder(SpanEvent).decode
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_CODES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_FLOATS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_INT64, _UINT64 = 2**63, 2**64


def request(body: bytes) -> Request:
    """The request in these bytes. Undecodable, naming the place, when they are not OTLP/JSON."""
    try:
        return _request(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(f"The body is not OTLP/JSON: {str(error)[:200]}.") from error


T = TypeVar("T")


def _typed(decode: Callable[[bytes], T], data: bytes) -> T:
    try:
        return decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadSpan(f"A span is malformed: {str(error)[:200]}.") from error


def span(data: msgspec.Raw) -> Span:
    """One span of a request. BadSpan when a member has the wrong type."""
    return _typed(_span, bytes(data))


def read(data: bytes) -> tuple[Admitted, bool]:
    """The JSON of a KeyValue, admitted, and whether to remember it. BadSpan when malformed."""
    pair = _typed(_pair, data)
    known = admission(pair.key)
    return known.admit(any_value(pair.value)), known.repeats


admitted: Final[Callable[[bytes], Admitted]] = Memory(read).__getitem__


def table(attributes: Iterable[msgspec.Raw]) -> dict[str, Any]:
    """JSON attributes → admitted values by name. BadSpan when one is malformed."""
    return dict(map(admitted, map(bytes, attributes)))


def any_value(value: AnyValue | None, depth: int = 0) -> Any:
    """An AnyValue as str, bool, int, float, hex text of bytes, list, dict or None: the same as `wire.any_value`."""
    if depth > NESTING_MAX:
        raise BadSpan("An attribute is nested too deeply.")
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.bool_value is not None:
        return value.bool_value
    if value.int_value is not None:
        number = integer(value.int_value)
        if not -_INT64 <= number < _INT64:
            raise BadSpan("An intValue does not fit into 64 bits.")
        return number
    if value.double_value is not None:
        return _double(value.double_value)
    if value.array_value is not None:
        return [any_value(item, depth + 1) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return {pair.key: any_value(pair.value, depth + 1) for pair in value.kvlist_value.values or ()}
    if value.bytes_value is not None:
        try:
            return base64.b64decode(value.bytes_value, validate=True).hex()
        except (binascii.Error, ValueError) as error:
            raise BadSpan("A bytesValue is not base64.") from error
    return None


def _double(value: float | str) -> float:
    if isinstance(value, float):
        return value
    try:
        return _FLOATS[value] if value in _FLOATS else float(value)
    except ValueError as error:
        raise BadSpan("A doubleValue is not a number.") from error


def integer(value: int | str | None) -> int:
    """A 64-bit integer that JSON wrote as number or text. BadSpan when it is neither."""
    if isinstance(value, int):
        return value
    if not value:
        return 0
    if not _INTEGER.fullmatch(value):
        raise BadSpan("An integer is not written in digits.")
    return int(value)


def nanoseconds(value: int | str | None) -> int:
    """A time in ns since 1970. BadSpan when it is not an unsigned 64-bit integer."""
    number = integer(value)
    if not 0 <= number < _UINT64:
        raise BadSpan("A time does not fit into 64 bits.")
    return number


def identifier(value: str | None) -> bytes:
    """A trace or span id from its hexadecimal text, in either case. BadSpan when it is not hexadecimal."""
    try:
        return binascii.unhexlify(value or "")
    except ValueError as error:
        raise BadSpan("An id is not hexadecimal.") from error


def status_code(status: SpanStatus | None) -> int:
    """The OTLP status code: 0 unset, 1 ok, 2 error; the enum's name is taken too."""
    if status is None or status.code is None:
        return 0
    if isinstance(status.code, int):
        return status.code
    if status.code not in _CODES:
        raise BadSpan("The status code is none of STATUS_CODE_UNSET, _OK, _ERROR.")
    return _CODES[status.code]


def span_event(data: msgspec.Raw) -> tuple[str, list[tuple[str, Any]]]:
    """The JSON of a span event as (name, attributes)."""
    event = _typed(_event, bytes(data))
    return event.name or "", [(pair.key, any_value(pair.value)) for pair in event.attributes or ()]
