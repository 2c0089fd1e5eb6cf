"""Many spans of one layout read at once: their bytes are a matrix, and what varies is columns of it.

The interpreter pays for every span by the step; numpy pays for the step once and then a few nanoseconds a span. A block
says of its spans what `layouts.Layout.mapped` and `mapping.Mapper.event` say of each, and it holds only spans of which
nothing is to be doubted: all others are read one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from telemetry.parsing import vocabulary
from telemetry.parsing.events import NO_TOKENS, Belonging, Meaning, Resource, Work
from telemetry.parsing.mapping import LONGEST_NS, Mapped, Mapper
from telemetry.parsing.packing import DAY_US, EMPTY, EPOCH_US, NULL, ROW_OF_16, counts
from telemetry.parsing.values import PLAIN

Bytes = NDArray[np.uint8]
Whole = NDArray[np.int64]
Tokens = tuple[Whole | int | None, ...]
"""In the order of events.Tokens: a column, the same number for every span, or None where it was not reported."""

_4, _8, _16 = b"\x00\x00\x00\x04", b"\x00\x00\x00\x08", b"\x00\x00\x00\x10"
_ODD: Final[Bytes] = np.ones(256, np.uint8)
_ODD[list(PLAIN)] = 0


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


class Columns:
    """How the spans of one layout are read in columns."""

    def __init__(
        self,
        *,
        fixed: Sequence[bytes],
        places: Sequence[tuple[int, int]],
        known: Mapped,
        filled: Mapping[str, int],
        texts: Sequence[int],
        members: Sequence[int],
        template: bytes,
    ) -> None:
        """`fixed` are the bytes between the variable parts, which stand at `places` (start, size) in the order of
        `layouts.Values`; `filled` says which of them fill which fields, `texts` which are texts, and `members` which of
        those stand for the `%b` of `template`, the leftover attributes."""
        pieces, masks = [], []
        for number, part in enumerate(fixed):
            size = places[number][1] if number < len(places) else 0
            pieces.append(part + bytes(size))
            masks.append(b"\xff" * len(part) + bytes(size))
        self._pattern, self._mask = pattern(b"".join(pieces)), pattern(b"".join(masks))
        self._spots = [slice(start, start + size) for start, size in places]
        self._texts = [self._spots[place] for place in texts]
        self._meaning, self._work, conversation, tokens, ttft_ms, *_ = known
        self._job = self._spots[filled["job"]] if "job" in filled else None
        self._tokens: list[slice | int | None] = []
        tail, self._copied, self._counted = bytearray(counts[ttft_ms]), [], []
        for number, field in enumerate(vocabulary.TOKENS):
            if field in filled:
                self._tokens.append(self._spots[filled[field]])
                self._counted.append((len(tail) + 4, number))
                tail += _4 + bytes(4)
            else:
                self._tokens.append(tokens[number])
                tail += counts[tokens[number]]
        if "conversation" in filled:
            spot = self._spots[filled["conversation"]]
            tail += (spot.stop - spot.start).to_bytes(4, "big")
            self._copied.append((len(tail), spot))
            tail += bytes(spot.stop - spot.start)
        else:
            said = (conversation or "").encode()
            tail += len(said).to_bytes(4, "big") + said
        tail += NULL  # no layout of a span with content is learned
        length_at = len(tail)
        tail += EMPTY
        *before, last = (piece.replace(b"%%", b"%") for piece in template.split(b"%b"))
        for piece, place in zip(before, members, strict=True):
            spot = self._spots[place]
            tail += piece
            self._copied.append((len(tail), spot))
            tail += bytes(spot.stop - spot.start)
        tail += last
        tail[length_at : length_at + 4] = (len(tail) - length_at - 4).to_bytes(4, "big")
        self._tail = pattern(bytes(tail))
        self._silent = all(spot is None for spot in self._tokens)

    def fits(self, matrix: Bytes) -> NDArray[np.bool_]:
        """Which rows are spans of this layout that need no closer look."""
        found: NDArray[np.bool_] = ((matrix ^ self._pattern) & self._mask).max(axis=1) == 0
        trace, span, parent, start, end = self._spots[:5]
        found &= (matrix[:, trace].max(axis=1) > 0) & (matrix[:, span].max(axis=1) > 0)
        if parent.stop > parent.start:
            found &= matrix[:, parent].max(axis=1) > 0
        began, ended = _fixed64(matrix[:, start]), _fixed64(matrix[:, end])
        found &= (ended >= began) & (ended - began < LONGEST_NS) & (began < 1 << 63)
        for text in self._texts:
            found &= _ODD[matrix[:, text]].max(axis=1) == 0
        for spot in self._tokens:
            if isinstance(spot, slice):
                varint = matrix[:, spot]
                found &= varint[:, -1] < 128
                if varint.shape[1] > 1:
                    found &= varint[:, :-1].min(axis=1) > 127
        return found

    def block(self, matrix: Bytes, resource: Resource, mapper: Mapper) -> Block:
        """The events of spans that all fit."""
        count = len(matrix)
        trace, span, parent, start, end = self._spots[:5]
        began = _fixed64(matrix[:, start])
        took = ((_fixed64(matrix[:, end]) - began) // 1_000_000).astype(np.int64)
        occurred_us = (began // 1000).astype(np.int64)
        names = rows_of(np.concatenate((matrix[:, trace], matrix[:, span]), axis=1))
        event_ids = mapper.event_ids(names, began)
        head = [
            filled(count, pattern(ROW_OF_16)),
            event_ids,
            filled(count, pattern(_8)),
            big_endian(occurred_us - EPOCH_US, ">i8"),
            filled(count, pattern(_16)),
            matrix[:, trace],
            filled(count, pattern(_8)),
            matrix[:, span],
            filled(count, pattern(_4)),
            big_endian(took, ">i4"),
            filled(count, pattern(_8 if parent.stop > parent.start else NULL)),
            matrix[:, parent],
        ]
        tokens = NO_TOKENS if self._silent else tuple(_counted(spot, matrix) for spot in self._tokens)
        tails = filled(count, self._tail)
        for at, number in self._counted:
            tails[:, at : at + 4] = big_endian(tokens[number], ">i4")  # type: ignore[arg-type]
        for at, spot in self._copied:
            tails[:, at : at + spot.stop - spot.start] = matrix[:, spot]
        return Block(
            resource=resource,
            meaning=self._meaning,
            occurred_us=occurred_us,
            event_ids=event_ids,
            traces=rows_of(matrix[:, trace]),
            tokens=tokens,
            works=self._works(matrix),
            heads=np.concatenate(head, axis=1),
            tails=tails,
        )

    def _works(self, matrix: Bytes) -> list[Work]:
        work = self._work
        if self._job is None:
            return [work] * len(matrix)
        jobs = rows_of(matrix[:, self._job])
        made = {job: Work(job.decode(), work.cost_center, work.outcome) for job in set(jobs)}
        return [made[job] for job in jobs]


def _counted(spot: slice | int | None, matrix: Bytes) -> Whole | int | None:
    """The numbers in a column of varints, or what is the same for all."""
    if not isinstance(spot, slice):
        return spot
    varint = matrix[:, spot]
    value = (varint[:, 0] & 127).astype(np.int64)
    for place in range(1, varint.shape[1]):
        value |= (varint[:, place] & 127).astype(np.int64) << 7 * place
    return value


def _fixed64(column: Bytes) -> NDArray[np.uint64]:
    return np.ascontiguousarray(column).view("<u8").ravel()
