"""The packed bytes are PostgreSQL's binary COPY format."""

from struct import unpack_from
from uuid import UUID

import pytest

from telemetry.parsing import packing
from telemetry.parsing.events import Belonging
from tests.telemetry.otlp import START, one, read

PLACE = packing.place(
    tenant_id=UUID(int=1),
    provider_id=UUID(int=2),
    environment_id=UUID(int=3),
    template_id=UUID(int=4),
    version_id=UUID(int=5),
    instance_id=UUID(int=6),
    role_id=None,
)


def unpacked(data: bytes) -> list[list[bytes | None]]:
    """The rows of a binary COPY: every field as bytes, NULL as None."""
    assert data.startswith(packing.HEADER)
    at, rows = len(packing.HEADER), []
    while (width := unpack_from(">h", data, at)[0]) != -1:
        at += 2
        row: list[bytes | None] = []
        for _ in range(width):
            (length,) = unpack_from(">i", data, at)
            at += 4
            row.append(None if length == -1 else data[at : at + length])
            at += max(length, 0)
        rows.append(row)
    assert at + 2 == len(data)
    return rows


def packed(attributes: dict[str, object]) -> dict[str, bytes | None]:
    (event,) = read(one(attributes)).events
    event.belonging = Belonging(event.meaning, PLACE, 0)
    codes = {
        None: packing.NULL,
        "openai": packing.code(1),
        "gpt-4o": packing.code(2),
        "cc-1": packing.code(3),
    }
    data = packing.rows([event], codes=codes, received_us=packing.EPOCH_US + 5)
    (row,) = unpacked(data)
    return dict(zip(packing.COLUMNS, row, strict=True))


def test_a_row_holds_every_column_in_order():
    row = packed(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.response.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 1_000_000,
            "gen_ai.usage.output_tokens": 3,
            "arm.job.id": "ticket-é",
            "arm.cost_center": "cc-1",
            "server.port": 443,
        }
    )
    assert row["tenant_id"] == UUID(int=1).bytes
    assert row["instance_id"] == UUID(int=6).bytes
    assert unpack_from(">q", row["occurred_at"] or b"")[0] + packing.EPOCH_US == START // 1000
    assert row["received_at"] == (5).to_bytes(8, "big")
    assert row["type"] == b"\0\3"
    assert row["input_tokens"] == (1_000_000).to_bytes(4, "big")
    assert row["output_tokens"] == (3).to_bytes(4, "big")
    assert row["cache_read_tokens"] is None
    assert row["parent_span_id"] is None
    assert row["provider_code"] == (1).to_bytes(4, "big")
    assert row["cost_center_code"] == (3).to_bytes(4, "big")
    assert row["job"] == "ticket-é".encode()
    assert row["attributes"] == b'{"server.port":443}'
    assert row["content_digest"] is None


def test_a_text_that_is_not_interned_yet_is_said_so_before_a_byte_is_written():
    with pytest.raises(KeyError, match="claude"):
        packed({"gen_ai.response.model": "claude"})
