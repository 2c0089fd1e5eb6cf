"""Events in columns: one block holds many that are alike, and says once what is said of all of them."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from telemetry.parsing.events import Belonging, Meaning, Resource, Work

Bytes = NDArray[np.uint8]
Whole = NDArray[np.int64]
Tokens = tuple[Whole | int | None, ...]
"""In the order of events.Tokens: a column, the same number for every span, or None where it was not reported."""
DAY_US: Final = 86_400_000_000


def rows_of(matrix: Bytes) -> list[bytes]:
    """Each row of a matrix of bytes as bytes."""
    whole = np.ascontiguousarray(matrix)
    return whole.view(f"V{whole.shape[1]}").ravel().tolist()


def filled(count: int, pattern: Bytes) -> Bytes:
    """A matrix whose rows are all this pattern."""
    matrix = np.empty((count, len(pattern)), np.uint8)
    matrix[:] = pattern
    return matrix


def big_endian(values: NDArray[Any], kind: str) -> Bytes:
    """Whole numbers as PostgreSQL writes them: a column of bytes for each byte of the type (`>i4`, `>i8`, `>u8`)."""
    return values.astype(kind).view(np.uint8).reshape(len(values), -1)


def woven(heads: Bytes, middles: Sequence[bytes], tails: Bytes | None = None) -> Iterator[bytes]:
    """Rows whose middle differs, as one piece for each length of it: a row for each head, in another order."""
    lengths = list(map(len, middles))
    for length in set(lengths):
        some: Any = slice(None)
        if lengths.count(length) < len(lengths):
            some = np.fromiter((other == length for other in lengths), np.bool_, len(lengths))
        joined = b"".join(middle for middle in middles if len(middle) == length)
        pieces = [heads[some], pattern(joined).reshape(-1, length)]
        if tails is not None:
            pieces.append(tails[some])
        yield np.concatenate(pieces, axis=1).tobytes()


def pattern(data: bytes) -> Bytes:
    """These bytes as a row of a matrix."""
    return np.frombuffer(data, np.uint8)


class Block:
    """Events of one layout and one resource. What is said of several is said once; the rest is columns, in one order."""

    __slots__ = (
        "belongings",
        "event_ids",
        "heads",
        "meaning",
        "occurred_us",
        "resource",
        "tails",
        "tokens",
        "traces",
        "works",
    )

    def __init__(
        self,
        *,
        resource: Resource,
        meaning: Meaning,
        occurred_us: Whole,
        event_ids: Bytes,
        traces: list[bytes],
        tokens: Tokens,
        works: list[Work],
        heads: Bytes,
        tails: Bytes,
    ) -> None:
        self.resource = resource
        self.meaning = meaning
        self.occurred_us = occurred_us
        self.event_ids = event_ids
        """(n, 16)"""
        self.traces = traces
        self.tokens = tokens
        self.works = works
        self.heads = heads
        """What begins a row, and its fields from event_id to parent_span_id."""
        self.tails = tails
        """The fields from ttft_ms to attributes."""
        self.belongings: dict[Work, Belonging] = {}
        """Each work of the block once, and where its spans belong; set when the block is linked."""

    def __len__(self) -> int:
        return len(self.traces)

    def rows(self, middles: Sequence[bytes]) -> Iterator[bytes]:
        """The rows of a COPY, whose fields from tenant_id to job are these."""
        return woven(self.heads, middles, self.tails)

    @property
    def day(self) -> int:
        """Days since 1970 (UTC). The block is linked, so all of it is of one day."""
        return int(self.occurred_us[0]) // DAY_US

    @property
    def instance(self) -> bytes | None:
        """As the spans themselves name it, else their resource."""
        own = self.meaning.instance
        return self.resource.instance if own is None else own

    @property
    def version(self) -> bytes | None:
        own = self.meaning.version
        return self.resource.version if own is None else own
