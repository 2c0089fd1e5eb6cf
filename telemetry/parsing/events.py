"""The flat event, the same whatever dialect and encoding it came in, and the mapper that makes it."""

import hashlib
from struct import Struct
from typing import Any, Final
from uuid import UUID

import msgspec

from telemetry.parsing import vocabulary
from telemetry.parsing.errors import BadSpan
from telemetry.parsing.kinds import EventType, Status
from telemetry.parsing.shapes import ABSENT, shape_of
from telemetry.parsing.values import INT4_MAX, member

MAPPER_VERSION: Final = 1
"""Written on each row; raise it when the same span would give another row."""
CANCELLED: Final = frozenset({"cancelled", "canceled", "CancelledError", "asyncio.CancelledError"})

Attributes = dict[str, Any]

_FIELDS = list(vocabulary.FIELDS)
_ERROR_TYPE, _TOOL_NAME = _FIELDS.index("error_type"), _FIELDS.index("tool_name")
_OF_A_MODEL = [
    _FIELDS.index(name) for name in ("input_tokens", "output_tokens", "model_used", "model_requested")
]
_OK, _ERROR, _CANCELLED = Status.OK.value, Status.ERROR.value, Status.CANCELLED.value
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_hash_bits = Struct(">HQ").unpack_from
_uuid_bits = Struct(">QQ").pack


class Resource(msgspec.Struct, gc=False):
    """What every span of one process shares. Identifiers are 16 bytes, b"" when given but none of ours."""

    instance: bytes | None
    version: bytes | None
    environment: str | None
    job: str | None
    cost_center: str | None
    outcome: str | None
    generation: int | None
    aliases: tuple[str, ...]
    """`name=value` of attributes that may name the instance, if the provider declared that alias."""
    speaks: bool
    """Whether it names a job, a cost centre or an outcome."""


class Place(msgspec.Struct, gc=False, eq=False):
    """Where events belong, with the fields of their rows already encoded. One object per instance and version."""

    tenant_id: UUID
    provider_id: UUID
    environment_id: UUID
    template_id: UUID
    version_id: UUID
    instance_id: UUID
    role_id: UUID | None
    columns: bytes
    """tenant, provider, environment, template, version, instance: see `packing.place`."""
    role: bytes


class Event(msgspec.Struct, gc=False):
    """One normalised event. Times are microseconds since 1970 (UTC); a count that was not reported is None."""

    event_id: bytes
    occurred_us: int
    duration_ms: int | None
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    type: int
    status: int
    resource: Resource
    instance: bytes | None
    version: bytes | None
    content_digest: bytes | None
    attributes: bytes
    of_model: bool
    """Whether any field that only a call of a model fills may be filled."""
    # from here on in the order of vocabulary.FIELDS
    job: str | None
    cost_center: str | None
    outcome: str | None
    conversation: str | None
    generation: int | None
    provider: str | None
    model_requested: str | None
    model_used: str | None
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    ttft_ms: int | None
    finish_reasons: str | None
    tool_name: str | None
    tool_digest: str | None
    error_type: str | None
    cost_picos: int | None
    currency: str | None
    # set when the event is linked
    place: Place | None = None
    flags: int = 0


def resource_of(table: Attributes) -> Resource:
    """The shared part of a process's spans, out of its admitted resource attributes (used up)."""
    shape = shape_of(table)
    aliases = tuple(_alias(table[name]) for name in vocabulary.ALIASES if name in table)
    table[ABSENT] = None
    instance, version, environment, *_ = shape.steer(table)
    job, cost_center, outcome, _, generation, *_ = shape.pick(table)
    speaks = job is not None or cost_center is not None or outcome is not None
    return Resource(instance, version, environment, job, cost_center, outcome, generation, aliases, speaks)


def _alias(member: bytes) -> str:
    ((name, value),) = _decode(b"{%b}" % member).items()
    return f"{name}={value}"


class Mapper:
    """Turns the spans of one credential into events: tenant and provider come from the credential, never from a span."""

    __slots__ = ("_seed",)

    def __init__(self, *, tenant_id: UUID, provider_id: UUID) -> None:
        self._seed = tenant_id.bytes + provider_id.bytes

    def event(
        self,
        resource: Resource,
        trace: bytes,
        span: bytes,
        parent: bytes,
        start_ns: int,
        end_ns: int,
        status_code: int,
        table: Attributes,
    ) -> Event:
        """One event from a span's ids, times (ns since 1970), OTLP status code (0, 1, 2) and admitted attributes.

        The table is used up: the mapper writes into it. BadSpan when an id is not what W3C Trace Context allows.
        """
        if len(trace) != 16 or trace == _NO_TRACE:
            raise BadSpan("The trace id must be 16 bytes, not all zero.")
        if len(span) != 8 or span == _NO_SPAN:
            raise BadSpan("The span id must be 8 bytes, not all zero.")
        if len(parent) != 8:
            if parent:
                raise BadSpan("The parent span id must be empty or 8 bytes.")
        elif parent == _NO_SPAN:
            parent = b""
        shape = shape_of(table)
        if shape.json_valued:
            for name in shape.json_valued:
                table.update(table.pop(name))
            shape = shape_of(table)
        table[ABSENT] = None
        if end_ns < start_ns:
            duration_ms = None  # a span that never ended
        else:
            duration_ms = min((end_ns - start_ns) // 1_000_000, INT4_MAX)
        head, tail = _hash_bits(hashlib.sha256(self._seed + trace + span).digest())
        picked = shape.pick(table)
        kind = table[shape.operation]
        instance, version = resource.instance, resource.version
        leftover: tuple[bytes, ...] = ()
        status = _outcome(status_code, picked[_ERROR_TYPE])
        if shape.steered or type(kind) is not int:
            own_instance, own_version, _, own_status, *names = shape.steer(table)
            instance = instance if own_instance is None else own_instance
            version = version if own_version is None else own_version
            status = status if own_status is None else own_status
            kind, leftover = _kind(names, picked)
        return Event(
            _uuid_bits(start_ns // 1_000_000 << 16 | 0x8000 | head & 0x0FFF, 2 << 62 | tail >> 2),
            start_ns // 1000,
            duration_ms,
            trace,
            span,
            parent,
            kind,
            status,
            resource,
            instance,
            version,
            shape.digest(table) if shape.content else None,
            shape.attributes(table, *leftover),
            shape.of_model,
            *picked,
        )


def _outcome(code: int, error_type: str | None) -> int:
    if code == 2 or error_type is not None:
        return _CANCELLED if error_type in CANCELLED else _ERROR
    return _OK


def _kind(names: list[int | str | None], picked: tuple[Any, ...]) -> tuple[int, tuple[bytes, ...]]:
    """The type by the first name that is known, else by what the span carries; with it the unknown name, if any."""
    for name in names:
        if isinstance(name, int):
            return name, ()
    unknown = tuple(member("arm.raw_operation", name) for name in names if name is not None)[:1]
    if any(picked[field] is not None for field in _OF_A_MODEL):
        return EventType.MODEL_CALL.value, unknown
    if picked[_TOOL_NAME] is not None:
        return EventType.TOOL_CALL.value, unknown
    return EventType.AGENT_RUN.value, unknown
