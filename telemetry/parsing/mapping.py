"""What a span means: admitted attributes and a status → the parts of an event, and with its ids and times the event."""

import hashlib
from collections.abc import Iterable
from struct import Struct
from typing import Any, Final
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from telemetry.parsing import vocabulary
from telemetry.parsing.errors import BadSpan
from telemetry.parsing.events import NO_TOKENS, SILENT, Event, Meaning, Resource, Tokens, Work
from telemetry.parsing.kinds import EventType, Status
from telemetry.parsing.shapes import ABSENT, shape_of
from telemetry.parsing.values import INT4_MAX, member

CANCELLED: Final = frozenset({"cancelled", "canceled", "CancelledError", "asyncio.CancelledError"})

Attributes = dict[str, Any]

_OK, _ERROR, _CANCELLED = Status.OK.value, Status.ERROR.value, Status.CANCELLED.value
LONGEST_NS: Final = INT4_MAX * 1_000_000
"""A span that lasted longer is said to have lasted this long."""
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_hash_bits = Struct(">HQ").unpack_from
_uuid_bits = Struct(">QQ").pack


Mapped = tuple[Meaning, Work, str | None, Tokens, int | None, int | None, bytes | None, bytes]
"""What the attributes and the status of a span mean, whatever its ids and times: meaning, work, conversation, tokens,
time to the first token (ms), cost (picos), digest of its content, JSON of the attributes that have no field."""


def resource_of(table: Attributes) -> Resource:
    """The shared part of a process's spans, out of its admitted resource attributes (used up)."""
    shape = shape_of(table)
    aliases = tuple(_alias(table[name]) for name in vocabulary.ALIASES if name in table)
    table[ABSENT] = None
    instance, version, environment, *_ = shape.steer(table)
    return Resource(instance, version, environment, _work(*shape.pick(table)[:3]), aliases)


def _alias(member: bytes) -> str:
    ((name, value),) = _decode(b"{%b}" % member).items()
    return f"{name}={value}"


def mapped(table: Attributes, status_code: int) -> Mapped:
    """What admitted attributes and an OTLP status code (0, 1, 2) mean. The table is used up."""
    shape = shape_of(table)
    if shape.json_valued:
        for name in shape.json_valued:
            table.update(table.pop(name))
        shape = shape_of(table)
    table[ABSENT] = None
    picked = shape.pick(table)
    job, cost_center, outcome, conversation, generation, provider, requested, used, *more = picked
    *tokens, ttft_ms, finish_reasons, tool_name, tool_digest, error_type, cost_picos, currency = more
    kind = table[shape.operation]
    instance = version = None
    leftover: tuple[bytes, ...] = ()
    status = _outcome(status_code, error_type)
    if shape.steered or type(kind) is not int:
        instance, version, _, own_status, *names = shape.steer(table)
        status = status if own_status is None else own_status
        called = any(value is not None for value in (tokens[0], tokens[3], used, requested))
        kind, leftover = _kind(names, called, tool_name)
    return (
        Meaning(
            kind,
            status,
            instance,
            version,
            generation,
            provider,
            requested,
            used,
            finish_reasons,
            tool_name,
            tool_digest,
            error_type,
            currency,
        ),
        _work(job, cost_center, outcome),
        conversation,
        (tokens[0], tokens[1], tokens[2], tokens[3], tokens[4]) if shape.counted else NO_TOKENS,
        ttft_ms,
        cost_picos,
        shape.digest(table) if shape.content else None,
        shape.attributes(table, *leftover),
    )


def _work(job: str | None, cost_center: str | None, outcome: str | None) -> Work:
    if job is None and cost_center is None and outcome is None:
        return SILENT
    return Work(job, cost_center, outcome)


class Mapper:
    """Turns the spans of one credential into events: tenant and provider come from the credential, never from a span."""

    __slots__ = ("_seeded",)

    def __init__(self, *, tenant_id: UUID, provider_id: UUID) -> None:
        self._seeded = hashlib.sha256(tenant_id.bytes + provider_id.bytes)

    def event(
        self,
        resource: Resource,
        trace: bytes,
        span: bytes,
        parent: bytes,
        start_ns: int,
        end_ns: int,
        mapped: Mapped,
    ) -> Event:
        """One event from a span's ids, times (ns since 1970) and what its attributes and status mean.

        BadSpan when an id is not what W3C Trace Context allows.
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
        lasted_ns = end_ns - start_ns
        if lasted_ns < 0:
            duration_ms = None  # a span that never ended
        elif lasted_ns < LONGEST_NS:
            duration_ms = lasted_ns // 1_000_000
        else:
            duration_ms = INT4_MAX
        hashed = self._seeded.copy()
        hashed.update(trace + span)
        head, tail = _hash_bits(hashed.digest())
        return Event(
            _uuid_bits(start_ns // 1_000_000 << 16 | 0x8000 | head & 0x0FFF, 2 << 62 | tail >> 2),
            start_ns // 1000,
            duration_ms,
            trace,
            span,
            parent,
            resource,
            *mapped,
        )

    def event_ids(self, names: Iterable[bytes], start_ns: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """The ids that `event` gives, for many spans: a row of 16 bytes for each. `names`: trace id + span id, whole."""
        copy, digests = self._seeded.copy, []
        for name in names:
            hashed = copy()
            hashed.update(name)
            digests.append(hashed.digest())
        found = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        head = np.ascontiguousarray(found[:, :2]).view(">u2").ravel().astype(np.uint64)
        tail = np.ascontiguousarray(found[:, 2:10]).view(">u8").ravel().astype(np.uint64)
        bits = np.empty((len(found), 2), ">u8")
        bits[:, 0] = start_ns // 1_000_000 << 16 | 0x8000 | head & 0x0FFF
        bits[:, 1] = 2 << 62 | tail >> 2
        return bits.view(np.uint8)


def _outcome(code: int, error_type: str | None) -> int:
    if code == 2 or error_type is not None:
        return _CANCELLED if error_type in CANCELLED else _ERROR
    return _OK


def _kind(
    names: list[int | str | None], called: bool, tool_name: str | None
) -> tuple[int, tuple[bytes, ...]]:
    """The type by the first name that is known, else by what the span carries; with it the unknown name, if any.

    `called` says whether it carries a model's name or its tokens."""
    for name in names:
        if isinstance(name, int):
            return name, ()
    unknown = tuple(member("arm.raw_operation", name) for name in names if name is not None)[:1]
    if called:
        return EventType.MODEL_CALL.value, unknown
    if tool_name is not None:
        return EventType.TOOL_CALL.value, unknown
    return EventType.AGENT_RUN.value, unknown
