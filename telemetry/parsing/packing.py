"""Events → the bytes of PostgreSQL's COPY … (FORMAT binary), without an object per column.

A field is its length in four bytes and then its value, big-endian; NULL is the length -1. Columns that are equal on many
rows stand next to each other, so that they are encoded once and copied as one piece.
"""

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Final
from uuid import UUID

from telemetry.parsing.events import MAPPER_VERSION, NO_TOKENS, Belonging, Event, Place, Work

HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"
EMPTY: Final = b"\x00\x00\x00\x00"
EPOCH_US: Final = 946_684_800_000_000
"""PostgreSQL counts microseconds from 2000-01-01."""

COLUMNS: Final = (
    "event_id",
    "occurred_at",
    "trace_id",
    "span_id",
    "duration_ms",
    "parent_span_id",
    # the same for all events of one belonging
    "tenant_id",
    "provider_id",
    "environment_id",
    "template_id",
    "version_id",
    "instance_id",
    "received_at",
    "type",
    "status",
    "flags",
    "mapper_version",
    "generation",
    "provider_code",
    "model_requested_code",
    "model_used_code",
    "finish_code",
    "tool_code",
    "error_code",
    # the event's own
    "ttft_ms",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    # the same for all events of one work
    "cost_center_code",
    "outcome_code",
    "job",
    # the event's own
    "conversation",
    "content_digest",
    "attributes",
)

_head = Struct(">hi16siqi16si8s").pack
_head_of_child = Struct(">hi16siqi16si8siii8s").pack
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


counts: Final[Mapping[int | None, bytes]] = _Counts({None: NULL})
"""Whole numbers as int4 fields; None is NULL."""
counts_of: Final = counts.__getitem__
_NO_NUMBERS: Final = NULL * 6
_EMPTY_AND_NULL: Final = EMPTY + NULL
Codes = Mapping[str | None, bytes]
"""Every text that is interned → its field, None → NULL. A text that is not interned yet is a KeyError."""


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


def rows(events: Iterable[Event], *, codes: Codes, received_us: int) -> bytes:
    """A whole binary COPY of these events, which are linked, in the order of COLUMNS. KeyError: see Codes."""
    parts = [HEADER]
    width = len(COLUMNS)
    shared: dict[Belonging, bytes] = {}
    works: dict[Work, bytes] = {}
    for event in events:
        belonging, parent, duration_ms = event.belonging, event.parent_id, event.duration_ms
        work, attributes, digest = event.work, event.attributes, event.content_digest
        assert belonging is not None
        if belonging not in shared:
            shared[belonging] = _belonging(belonging, codes, received_us)
        if work not in works:
            works[work] = work_fields(work, codes)
        occurred = event.occurred_us - EPOCH_US
        if parent and duration_ms is not None:
            parts.append(
                _head_of_child(
                    width,
                    16,
                    event.event_id,
                    8,
                    occurred,
                    16,
                    event.trace_id,
                    8,
                    event.span_id,
                    4,
                    duration_ms,
                    8,
                    parent,
                )
            )
        else:
            parts += (
                _head(width, 16, event.event_id, 8, occurred, 16, event.trace_id, 8, event.span_id),
                counts[duration_ms],
                b"\x00\x00\x00\x08" + parent if parent else NULL,
            )
        parts.append(shared[belonging])
        tokens, ttft_ms = event.tokens, event.ttft_ms
        if tokens is NO_TOKENS and ttft_ms is None:
            parts.append(_NO_NUMBERS)  # most spans call no model
        else:
            parts.append(counts[ttft_ms])
            parts += map(counts_of, tokens)
        conversation = event.conversation
        if conversation is None and digest is None:
            parts += (works[work], _EMPTY_AND_NULL, _length(len(attributes)), attributes)
        else:
            parts += (
                works[work],
                EMPTY if conversation is None else text(conversation),
                NULL if digest is None else b"\x00\x00\x00\x20" + digest,
                _length(len(attributes)),
                attributes,
            )
    parts.append(TRAILER)
    return b"".join(parts)


def work_fields(work: Work, codes: Codes) -> bytes:
    """cost_center_code, outcome_code and job of a row."""
    job = EMPTY if work.job is None else text(work.job)
    return codes[work.cost_center] + codes[work.outcome] + job


def _belonging(belonging: Belonging, codes: Codes, received_us: int) -> bytes:
    """The fields from tenant_id to error_code."""
    meaning = belonging.meaning
    return b"".join(
        (
            belonging.place.columns,
            timestamp(received_us),
            _kinds(2, meaning.type, 2, meaning.status, 2, belonging.flags, 2, MAPPER_VERSION),
            counts[meaning.generation],
            codes[meaning.provider],
            codes[meaning.model_requested],
            codes[meaning.model_used],
            codes[meaning.finish_reasons],
            codes[meaning.tool_name],
            codes[meaning.error_type],
        )
    )
