"""Many spans of one layout read at once: their bytes are a matrix, and what varies is columns of it.

The interpreter pays for every span by the step; numpy pays for the step once and then a few nanoseconds a span. A block
says of its spans what `layouts.Layout.mapped` and `mapping.Mapper.event` say of each, and it holds only spans of which
nothing is to be doubted: all others are read one by one.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from telemetry.parsing import vocabulary
from telemetry.parsing.blocks import Block, Bytes, Whole, big_endian, filled, pattern, rows_of
from telemetry.parsing.events import Resource, Work
from telemetry.parsing.mapping import LONGEST_NS, Mapped, Mapper
from telemetry.parsing.packing import EMPTY, EPOCH_US, NULL, ROW_OF_16, counts
from telemetry.parsing.values import PLAIN

_4, _8, _16 = b"\x00\x00\x00\x04", b"\x00\x00\x00\x08", b"\x00\x00\x00\x10"
_PARENT: Final = 2
"""Which of the variable parts is the parent's id."""
Read = Sequence[NDArray[Any]]
"""Trace and span id (n, 24), parent's id (n, 8 or 0), start and end in ns, counts, texts in the order of the row, job."""
_ODD: Final[Bytes] = np.ones(256, np.uint8)
_ODD[list(PLAIN)] = 0


class Tail(NamedTuple):
    """The fields of a row from ttft_ms to attributes, with room for what varies."""

    pattern: Bytes
    counted: tuple[int, ...]
    """Where each count of events.Tokens stands; 0 for one that does not vary."""
    copied: tuple[int, ...]
    """Where the texts stand."""


class Family:
    """How the rows of spans look that are alike but for the lengths of their counts: several layouts, one block."""

    def __init__(self, known: Mapped, tail: Tail, *, child: bool, job: bool) -> None:
        """`tail` is the end of a row, `child` says whether the spans have a parent, `job` whether each names its own."""
        self._meaning, self._work, _, tokens, *_ = known
        self._tail, self._child, self._job = tail, child, job
        self._tokens = [None if at else number for at, number in zip(tail.counted, tokens, strict=True)]
        at = bytearray(
            ROW_OF_16 + bytes(16) + _8 + bytes(8) + _16 + bytes(16) + _8 + bytes(8) + _4 + bytes(4)
        )
        at += _8 + bytes(8) if child else NULL
        self._head = pattern(bytes(at))

    def block(self, read: Sequence[Read], resource: Resource, mapper: Mapper) -> Block:
        """The events of spans that layouts of this family have read."""
        columns = [one[0] if len(one) == 1 else np.concatenate(one) for one in zip(*read, strict=True)]
        names, parents, began, ended, *rest = columns
        occurred_us = (began // 1000).astype(np.int64)
        event_ids = mapper.event_ids(rows_of(names), began)
        heads = filled(len(names), self._head)
        heads[:, 6:22] = event_ids
        heads[:, 26:34] = big_endian(occurred_us - EPOCH_US, ">i8")
        heads[:, 38:54] = names[:, :16]
        heads[:, 58:66] = names[:, 16:]
        heads[:, 70:74] = big_endian((ended - began) // 1_000_000, ">i4")
        if self._child:
            heads[:, 78:86] = parents
        tails = filled(len(names), self._tail.pattern)
        tokens: list[Whole | int | None] = list(self._tokens)
        for number, at in enumerate(self._tail.counted):
            if at:
                column = tokens[number] = rest.pop(0)
                tails[:, at : at + 4] = big_endian(column, ">i4")
        for at in self._tail.copied:
            column = rest.pop(0)
            tails[:, at : at + column.shape[1]] = column
        return Block(
            resource=resource,
            meaning=self._meaning,
            occurred_us=occurred_us,
            event_ids=event_ids,
            traces=rows_of(names[:, :16]),
            tokens=tuple(tokens),
            works=self._works(rest.pop(0)) if self._job else [self._work] * len(names),
            heads=heads,
            tails=tails,
        )

    def _works(self, column: Bytes) -> list[Work]:
        jobs = rows_of(column)
        made = {job: Work(job.decode(), self._work.cost_center, self._work.outcome) for job in set(jobs)}
        return [made[job] for job in jobs]


Families = WeakValueDictionary[Hashable, Family]


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
        families: Families,
    ) -> None:
        """`fixed` are the bytes between the variable parts, which stand at `places` (start, size) in the order of
        `layouts.Values`; `filled` says which of them fill which fields, `texts` which are texts, and `members` which of
        those stand for the `%b` of `template`, the leftover attributes. A new kind of row is added to `families`."""
        pieces, masks = [], []
        for number, part in enumerate(fixed):
            size = places[number][1] if number < len(places) else 0
            pieces.append(part + bytes(size))
            masks.append(b"\xff" * len(part) + bytes(size))
        self._pattern, self._mask = pattern(b"".join(pieces)), pattern(b"".join(masks))
        spots = [slice(start, start + size) for start, size in places]
        self._ids, self._texts = spots[:5], [spots[place] for place in texts]
        counted = [spots[filled[field]] if field in filled else None for field in vocabulary.TOKENS]
        said = spots[filled["conversation"]] if "conversation" in filled else None
        tail = _tail(known, counted, said, [spots[place] for place in members], template)
        self._counted = [spot for spot in counted if spot is not None]
        self._copied = ([said] if said is not None else []) + [spots[place] for place in members]
        if "job" in filled:
            self._copied.append(spots[filled["job"]])
        child, job = places[_PARENT][1] > 0, "job" in filled
        width = places[filled["job"]][1] if job else 0
        whose = known[1].cost_center, known[1].outcome, None if job else known[1]
        key = known[0], whose, tail.pattern.tobytes(), tail.counted, tail.copied, child, width
        self.family: Final = families.setdefault(key, Family(known, tail, child=child, job=job))
        """Layouts hold their family; a family that no layout reads for is forgotten."""

    def read(self, matrix: Bytes, fewest: int) -> tuple[Read, NDArray[np.bool_]] | None:
        """What is read of the rows that are spans of this layout and need no closer look, and which these are.

        None when they are fewer than `fewest`.
        """
        found: NDArray[np.bool_] = ((matrix ^ self._pattern) & self._mask).max(axis=1) == 0
        trace, span, parent, start, end = self._ids
        names = np.concatenate((matrix[:, trace], matrix[:, span]), axis=1)
        words = names.view("<u8")
        began, ended = _fixed64(matrix[:, start]), _fixed64(matrix[:, end])
        found &= (words[:, 0] | words[:, 1] != 0) & (words[:, 2] != 0)
        found &= (ended >= began) & (ended - began < LONGEST_NS) & (began < 1 << 63)
        if parent.stop > parent.start:
            found &= _fixed64(matrix[:, parent]) != 0
        for text in self._texts:
            found &= _ODD[matrix[:, text]].max(axis=1) == 0
        columns: list[NDArray[Any]] = [names, matrix[:, parent], began, ended]
        for spot in self._counted:
            column, whole = _numbers(matrix[:, spot])
            found &= whole
            columns.append(column)
        columns += [matrix[:, spot] for spot in self._copied]
        many = int(found.sum())
        if many < fewest:
            return None
        return (columns if many == len(matrix) else [column[found] for column in columns]), found


def _tail(
    known: Mapped,
    counted: Sequence[slice | None],
    said: slice | None,
    members: Sequence[slice],
    template: bytes,
) -> Tail:
    """The end of the rows of a layout: `counted` are its columns of tokens, `said` that of the conversation."""
    _, _, conversation, tokens, ttft_ms, *_ = known
    tail, copied, at = bytearray(counts[ttft_ms]), [], []
    for spot, number in zip(counted, tokens, strict=True):
        at.append(len(tail) + 4 if spot is not None else 0)
        tail += counts[number] if spot is None else _4 + bytes(4)
    if said is not None:
        tail += (said.stop - said.start).to_bytes(4, "big")
        copied.append(len(tail))
        tail += bytes(said.stop - said.start)
    else:
        text = (conversation or "").encode()
        tail += len(text).to_bytes(4, "big") + text
    tail += NULL  # no layout of a span with content is learned
    length_at = len(tail)
    tail += EMPTY
    *before, last = (template % ((b"\0",) * len(members))).split(b"\0")  # JSON holds no zero byte as it is
    for piece, spot in zip(before, members, strict=True):
        tail += piece
        copied.append(len(tail))
        tail += bytes(spot.stop - spot.start)
    tail += last
    tail[length_at : length_at + 4] = (len(tail) - length_at - 4).to_bytes(4, "big")
    return Tail(pattern(bytes(tail)), tuple(at), tuple(copied))


def _numbers(varint: Bytes) -> tuple[Whole, NDArray[np.bool_]]:
    """The numbers in a column of varints, and which of them are varints of just this length."""
    value = (varint[:, 0] & 127).astype(np.int64)
    whole = varint[:, -1] < 128
    for place in range(1, varint.shape[1]):
        value |= (varint[:, place] & 127).astype(np.int64) << 7 * place
        whole &= varint[:, place - 1] > 127
    return value, whole


def _fixed64(column: Bytes) -> NDArray[np.uint64]:
    return np.ascontiguousarray(column).view("<u8").ravel()
