"""Events → the bytes of PostgreSQL's COPY … (FORMAT binary), without an object per column.

A field is its length in four bytes and then its value, big-endian; NULL is the length -1. What is equal on many rows
(places, codes, small counts) is encoded once and looked up.
"""

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Final
from uuid import UUID

from telemetry.parsing.events import MAPPER_VERSION, Event, Place

HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"
EMPTY: Final = b"\x00\x00\x00\x00"
EPOCH_US: Final = 946_684_800_000_000
"""PostgreSQL counts microseconds from 2000-01-01."""

COLUMNS: Final = (
    "event_id",
    "occurred_at",
    "tenant_id",
    "provider_id",
    "environment_id",
    "template_id",
    "version_id",
    "instance_id",
    "received_at",
    "trace_id",
    "span_id",
    "parent_span_id",
    "type",
    "status",
    "flags",
    "mapper_version",
    "duration_ms",
    "ttft_ms",
    "generation",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "provider_code",
    "model_requested_code",
    "model_used_code",
    "finish_code",
    "tool_code",
    "error_code",
    "cost_center_code",
    "outcome_code",
    "job",
    "conversation",
    "content_digest",
    "attributes",
)

_head = Struct(">hi16siq").pack
_ids = Struct(">i16si8s").pack
_kinds = Struct(">ihihihih").pack
_int4 = Struct(">ii").pack
_int8 = Struct(">iq").pack
_length = Struct(">i").pack


class _Counts(dict[int | None, bytes]):
    """Whole numbers as int4 fields; those up to 65,535 are remembered."""

    def __missing__(self, value: int) -> bytes:
        field = _int4(4, value)
        if value <= 0xFFFF:
            self[value] = field
        return field


class _Kinds(dict[tuple[int, int, int], bytes]):
    def __missing__(self, key: tuple[int, int, int]) -> bytes:
        kind, status, flags = key
        field = self[key] = _kinds(2, kind, 2, status, 2, flags, 2, MAPPER_VERSION)
        return field


counts: Final[Mapping[int | None, bytes]] = _Counts({None: NULL})
"""Whole numbers as int4 fields; None is NULL."""
_kind_fields: Final = _Kinds()
_OF_NO_MODEL: Final = NULL * 9


def place(
    *,
    tenant_id: UUID,
    provider_id: UUID,
    environment_id: UUID,
    template_id: UUID,
    version_id: UUID,
    instance_id: UUID,
    role_id: UUID | None,
) -> Place:
    """A place with its row fields encoded."""
    ids = (tenant_id, provider_id, environment_id, template_id, version_id, instance_id)
    columns = b"".join(b"\x00\x00\x00\x10" + id.bytes for id in ids)
    role = NULL if role_id is None else b"\x00\x00\x00\x10" + role_id.bytes
    return Place(*ids, role_id, columns, role)


def code(number: int) -> bytes:
    """The number of an interned text as an int4 field."""
    return _int4(4, number)


def text(value: str) -> bytes:
    """A text as a field."""
    data = value.encode()
    return _length(len(data)) + data


def int8(value: int | None) -> bytes:
    """A 64-bit integer as a field; None is NULL."""
    return NULL if value is None else _int8(8, value)


def timestamp(micros: int) -> bytes:
    """Microseconds since 1970 as a timestamptz field."""
    return _int8(8, micros - EPOCH_US)


def rows(events: Iterable[Event], *, codes: Mapping[str | None, bytes], received_us: int) -> bytes:
    """A whole binary COPY of these events, in the order of COLUMNS.

    Each event has its `place`. `codes` maps every text that is interned to its field, and None to NULL; a text that is
    not interned yet is a KeyError.
    """
    parts = [HEADER]
    width = len(COLUMNS)
    received = timestamp(received_us)
    for event in events:
        attributes, digest, parent = event.attributes, event.content_digest, event.parent_id
        job, conversation, place = event.job, event.conversation, event.place
        assert place is not None
        parts += (
            _head(width, 16, event.event_id, 8, event.occurred_us - EPOCH_US),
            place.columns,
            received,
            _ids(16, event.trace_id, 8, event.span_id),
            b"\x00\x00\x00\x08" + parent if parent else NULL,
            _kind_fields[event.type, event.status, event.flags],
            counts[event.duration_ms],
            counts[event.ttft_ms],
            counts[event.generation],
        )
        if not event.of_model:
            parts.append(_OF_NO_MODEL)  # most spans call none
        else:
            parts += (
                counts[event.input_tokens],
                counts[event.cache_read_tokens],
                counts[event.cache_write_tokens],
                counts[event.output_tokens],
                counts[event.reasoning_tokens],
                codes[event.provider],
                codes[event.model_requested],
                codes[event.model_used],
                codes[event.finish_reasons],
            )
        parts += (
            codes[event.tool_name],
            codes[event.error_type],
            codes[event.cost_center],
            codes[event.outcome],
            text(job) if job is not None else EMPTY,
            text(conversation) if conversation is not None else EMPTY,
            b"\x00\x00\x00\x20" + digest if digest is not None else NULL,
            _length(len(attributes)),
            attributes,
        )
    parts.append(TRAILER)
    return b"".join(parts)
