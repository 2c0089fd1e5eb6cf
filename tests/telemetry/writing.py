"""What would be written of a body: rows and entries field by field, whatever order they come in."""

import zlib
from typing import Any

from costs.services.booking import Booking
from telemetry.parsing import packing
from telemetry.parsing.errors import Undecodable
from telemetry.parsing.events import Belonging
from tests.telemetry.otlp import TENANT, read
from tests.telemetry.test_packing import PLACE


class Codes(dict[str | None, bytes]):
    """A codebook that has a number for every text."""

    def __missing__(self, text: str) -> bytes:
        return packing.code(zlib.crc32(text.encode()) >> 1)

    def __contains__(self, text: object) -> bool:
        return True


def written(body: bytes) -> Any:
    """The rows and the ledger's rows of a body, byte for byte, its sums and what is held; or why it is refused."""
    try:
        batch = read(body)
    except Undecodable as no:
        return str(no)
    codes = Codes({None: packing.NULL})
    several = [*batch.events, *batch.blocks]
    shared = {one.meaning: Belonging(one.meaning, PLACE, 0) for one in several}
    for event in batch.events:
        event.belonging = shared[event.meaning]
    for block in batch.blocks:
        block.belongings = dict.fromkeys(block.works, shared[block.meaning])
    booking = Booking(TENANT, codes)
    booking.add(batch.events, batch.blocks)
    sums = sorted((repr(tags), total) for tags, total in booking._sums.items())
    entries = {day: rows_in(stream) for day, stream in booking.rows.items()}
    rows = packing.rows(batch.events, batch.blocks, codes=codes, received_us=5)
    return rows_in(rows), entries, sums, sorted(batch.bad, key=lambda one: one.raw)


def rows_in(stream: bytes) -> list[list[bytes]]:
    """The rows of a binary COPY, field by field (b"" for NULL, else the length and the value), in one order."""
    assert stream.startswith(packing.HEADER)
    rows, at = [], len(packing.HEADER)
    while (count := int.from_bytes(stream[at : at + 2], "big", signed=True)) != -1:
        at += 2
        fields = []
        for _ in range(count):
            size = max(int.from_bytes(stream[at : at + 4], "big", signed=True), 0)
            fields.append(stream[at : at + 4 + size])
            at += 4 + size
        rows.append(fields)
    assert stream[at:] == packing.TRAILER
    return sorted(rows)
