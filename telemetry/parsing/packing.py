"""Events → the bytes of PostgreSQL's COPY … (FORMAT binary), without an object per column.

A field is its length in four bytes and then its value, big-endian; NULL is the length -1. Columns that are equal on many
rows stand next to each other, so that they are encoded once and copied as one piece.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from struct import Struct
from typing import Final
from uuid import UUID

from telemetry.parsing.blocks import DAY_US, Block
from telemetry.parsing.events import MAPPER_VERSION, NO_TOKENS, Belonging, Event, Place, Work

HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"
EMPTY: Final = b"\x00\x00\x00\x00"
EPOCH_US: Final = 946_684_800_000_000
"""PostgreSQL counts microseconds from 2000-01-01."""
_FIRST: Final = date(1970, 1, 1).toordinal()

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
    # the same for all events of one work
    "cost_center_code",
    "outcome_code",
    "job",
    # the event's own
    "ttft_ms",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "conversation",
    "content_digest",
    "attributes",
)

_head = Struct(">6s16s4sq4s16s4s8s").pack
_head_of_child = Struct(">6s16s4sq4s16s4s8s4si4s8s").pack
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
ROW_OF_16: Final = len(COLUMNS).to_bytes(2, "big") + b"\x00\x00\x00\x10"
"""How a row begins: the number of its fields, and the length of its id."""
_4, _8, _16 = b"\x00\x00\x00\x04", b"\x00\x00\x00\x08", b"\x00\x00\x00\x10"
_NOTHING: Final = NULL * 6 + EMPTY + NULL
"""The fields from ttft_ms to content_digest of a span that calls no model: most do not."""
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


def rows(events: Iterable[Event], blocks: Iterable[Block] = (), *, codes: Codes, received_us: int) -> bytes:
    """A whole binary COPY of these events, which are linked, in the order of COLUMNS. KeyError: see Codes."""
    parts = [HEADER]
    belongings: dict[Belonging | None, bytes] = {}
    works: dict[Work, bytes] = {}
    for block in blocks:
        for one in block.belongings.values():
            if one not in belongings:
                belongings[one] = _belonging(one, codes, received_us)
        works |= {work: work_fields(work, codes) for work in block.belongings if work not in works}
        between = {work: belongings[one] + works[work] for work, one in block.belongings.items()}
        parts += block.rows([between[work] for work in block.works])
    for event in events:
        belonging, work, tokens, attributes = event.belonging, event.work, event.tokens, event.attributes
        parent, duration_ms = event.parent_id, event.duration_ms
        occurred = event.occurred_us - EPOCH_US
        shared, whose = belongings.get(belonging), works.get(work)
        if shared is None:
            shared = belongings[belonging] = _belonging(belonging, codes, received_us)
        if whose is None:
            whose = works[work] = work_fields(work, codes)
        if parent and duration_ms is not None:
            head = _head_of_child(
                ROW_OF_16, event.event_id, _8, occurred, _16, event.trace_id, _8, event.span_id,
                _4, duration_ms, _8, parent,
            )  # fmt: skip
        else:
            head = (
                _head(ROW_OF_16, event.event_id, _8, occurred, _16, event.trace_id, _8, event.span_id)
                + counts[duration_ms]
                + (_8 + parent if parent else NULL)
            )
        length = _length(len(attributes))
        conversation, digest, ttft_ms = event.conversation, event.content_digest, event.ttft_ms
        if tokens is NO_TOKENS and conversation is None and digest is None and ttft_ms is None:
            parts += (head, shared, whose, _NOTHING, length, attributes)
        else:
            given, read, write, output, reasoning = tokens
            parts += (
                head,
                shared,
                whose,
                counts[ttft_ms],
                counts[given],
                counts[read],
                counts[write],
                counts[output],
                counts[reasoning],
                EMPTY if conversation is None else text(conversation),
                NULL if digest is None else b"\x00\x00\x00\x20" + digest,
                length,
                attributes,
            )
    parts.append(TRAILER)
    return b"".join(parts)


def by_day(events: Sequence[Event]) -> dict[int, Sequence[Event]]:
    """The events of each day: days since 1970 (UTC), see `date_of`. Partitions and sums are by day."""
    days = {event.occurred_us // DAY_US for event in events}
    if len(days) == 1:
        return {days.pop(): events}
    return {day: [event for event in events if event.occurred_us // DAY_US == day] for day in sorted(days)}


def date_of(day: int) -> date:
    """The date of a day that is counted from 1970."""
    return date.fromordinal(_FIRST + day)


def work_fields(work: Work, codes: Codes) -> bytes:
    """cost_center_code, outcome_code and job of a row."""
    job = EMPTY if work.job is None else text(work.job)
    return codes[work.cost_center] + codes[work.outcome] + job


def _belonging(belonging: Belonging | None, codes: Codes, received_us: int) -> bytes:
    """The fields from tenant_id to error_code."""
    assert belonging is not None
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
