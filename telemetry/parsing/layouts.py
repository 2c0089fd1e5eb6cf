"""Spans of one program are the same bytes but for ids, times, counts and a few names: read them by their layout.

A layout is learned from a span that the general reader (`wire`, `shapes`, `mapping`) has read. It cuts the bytes of a
span of the same length into fixed and variable parts by one `struct` call, and holds only if every fixed part is equal;
then all that the fixed parts mean is known already. A span that no layout holds for goes to the general reader, so a
layout never decides what a span means, only how fast that is found out.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from struct import Struct
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import msgspec
import numpy as np

from telemetry.parsing import vocabulary
from telemetry.parsing.admission import admission
from telemetry.parsing.blocks import Block, Bytes, rows_of
from telemetry.parsing.columns import Columns, Families, Family, Read
from telemetry.parsing.events import Resource, Work
from telemetry.parsing.mapping import Attributes, Mapped, Mapper
from telemetry.parsing.shapes import ABSENT, Shape, shape_of
from telemetry.parsing.values import PLAIN, TEXT_MAX

PER_LENGTH: Final = 8
LENGTHS: Final = 1024
PATIENCE: Final = 64
"""Layouts learned on trust; after that one more for every WORTH spans that a layout has read."""
WORTH: Final = 16
LONGEST: Final = 4096
"""Bytes of a span that is worth a layout."""
FEW: Final = 24
"""Fewer spans of a family are read one by one: reading them in columns would take longer."""
FEWEST: Final = 6
"""The same for the spans of a layout."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_IDS: Final = {1: 16, 2: 8, 4: 8}
"""Field numbers of trace, span and parent id → their length."""
_PARENT: Final = 4
_TIMES: Final = (7, 8)
_ATTRIBUTE: Final = 9
_AS_IT_IS: Final = {
    3: _BYTES,
    5: _BYTES,
    6: _VARINT,
    10: _VARINT,
    12: _VARINT,
    14: _VARINT,
    15: _BYTES,
    16: _FIXED32,
}
"""Trace state, name, kind, dropped counts, status and flags: part of the layout, byte for byte."""
_HEAD: Final = [1, 2, 4, 7, 8]
"""Every encoder writes fields in ascending order; another order is left to the general reader."""
_VARINT_MAX: Final = 4  # bytes; more may not fit into an int4
_TOKENS: Final = frozenset(name for field in vocabulary.TOKENS for name in vocabulary.FIELDS[field])
_NUMBERS: Final = vocabulary.SECONDS | vocabulary.MONEY
_FIELDS: Final = tuple(vocabulary.FIELDS)

_encode = msgspec.json.Encoder().encode

Found = tuple[bytes, bytes, bytes, int, int, Mapped]
"""Trace, span and parent id, start and end in ns, and what the rest means."""
Values = tuple[Any, ...]
"""The variable parts: trace, span and parent id, start, end, those of attributes as they come, and at last b""."""


class _Part(NamedTuple):
    """A part of the bytes that varies: field number of the span, and the key of its attribute."""

    start: int
    size: int
    field: int
    key: str = ""


class _Varints(dict[bytes, int | None]):
    """The number in a varint of exactly these bytes, -1 when they are none; None for no bytes."""

    def __missing__(self, data: bytes) -> int:
        value = 0
        for shift, byte in enumerate(data):
            value |= (byte & 127) << 7 * shift
        if data[-1] > 127 or min(data[:-1], default=128) < 128:
            value = -1
        if len(self) < 1 << 16:
            self[data] = value
        return value


_number_in: Final = _Varints({b"": None}).__getitem__


class Layout:
    """How to read spans of exactly this layout."""

    __slots__ = (
        "_conversation",
        "_cost",
        "_job",
        "_known",
        "_members",
        "_template",
        "_texts",
        "_tokens",
        "_ttft",
        "columns",
        "fixed",
        "unpack",
    )

    def __init__(
        self,
        data: bytes,
        parts: list[_Part],
        shape: Shape,
        table: Attributes,
        known: Mapped,
        families: Families,
    ) -> None:
        form, at = "<", 0
        for part in parts:
            number = "Q" if part.field in _TIMES else "d" if part.key in _NUMBERS else ""
            form += f"{part.start - at}s" + (number or f"{part.size}s")
            at = part.start + part.size
        self.unpack = Struct(f"{form}{len(data) - at}s0s").unpack
        """Fixed and variable parts in turns, both at last an empty one."""
        self.fixed = self.unpack(data)[::2]
        self._known = known
        places = {part.key: place for place, part in enumerate(parts) if part.key}
        filled = {
            field: places[source]
            for field, source in zip(_FIELDS, shape.sources, strict=True)
            if source in places
        }
        self._texts = _pick([place for key, place in places.items() if key in vocabulary.VARIABLE])
        self._job, self._conversation = filled.get("job"), filled.get("conversation")
        self._ttft = _number(shape, filled, "ttft_ms")
        self._cost = _number(shape, filled, "cost_picos")
        absent = len(parts)
        self._tokens = (
            _pick([filled.get(field, absent) for field in vocabulary.TOKENS]) if shape.counted else None
        )
        members = [name for name in shape.rest if name in places]
        self._members = _pick([places[name] for name in members])
        self._template = _template(shape, table, set(members))
        self.columns = None
        """How to read many at once; None where a number has to be worked out for each."""
        if self._ttft is None and self._cost is None and known[5] is None:
            self.columns = Columns(
                fixed=self.fixed,
                places=[(part.start, part.size) for part in parts],
                known=known,
                filled=filled,
                texts=[places[key] for key in places if key in vocabulary.VARIABLE],
                members=[places[name] for name in members],
                template=self._template if members else known[7].replace(b"%", b"%%"),
                families=families,
            )

    def mapped(self, values: Values) -> Mapped | None:
        """What these variable parts mean here. None when one of them needs the general reader."""
        meaning, work, conversation, tokens, ttft_ms, cost_picos, digest, attributes = self._known
        if self._texts is not None:
            texts = self._texts(values)
            if (texts if type(texts) is bytes else b"".join(texts)).translate(None, PLAIN):
                return None
        if self._job is not None:
            work = Work(values[self._job].decode(), work.cost_center, work.outcome)
        if self._conversation is not None:
            conversation = values[self._conversation].decode()
        if self._tokens is not None:
            given, read, write, output, reasoning = map(_number_in, self._tokens(values))
            tokens = given, read, write, output, reasoning
            if -1 in tokens:
                return None
        if self._members is not None:
            attributes = self._template % self._members(values)
        if self._ttft is not None:
            place, key, admit = self._ttft
            name, ttft_ms = admit(values[place])
            if name != key:
                return None
        if self._cost is not None:
            place, key, admit = self._cost
            name, cost_picos = admit(values[place])
            if name != key:
                return None
        return meaning, work, conversation, tokens, ttft_ms, cost_picos, digest, attributes


def _pick(places: list[int]) -> Callable[[Values], Any] | None:
    return itemgetter(*places) if places else None


def _number(
    shape: Shape, filled: dict[str, int], field: str
) -> tuple[int, str, Callable[[Any], tuple[str, Any]]] | None:
    if field not in filled:
        return None
    key = shape.sources[_FIELDS.index(field)]
    return filled[field], key, admission(key).admit


def _template(shape: Shape, table: Attributes, variable: set[str]) -> bytes:
    """The leftover attributes with `%b` for every variable text."""
    members = [
        _encode(name).replace(b"%", b"%%") + b':"%b"'
        if name in variable
        else table[name].replace(b"%", b"%%")
        for name in shape.rest
    ]
    return b"{%b}" % b",".join(members)


class Layouts:
    """The layouts that this process has learned, by the length of the span. Shared by threads: entries are replaced."""

    def __init__(self) -> None:
        self._by_length: dict[int, tuple[Layout, ...]] = {}
        self._families: Families = WeakValueDictionary()  # those that a layout still reads for
        self._learned = 0
        self._read = 0

    def read(self, data: bytes) -> Found | None:
        """The span in these bytes, if a layout holds for it."""
        candidates = self._by_length.get(len(data))
        if candidates is None:
            return None
        for layout in candidates:
            parts = layout.unpack(data)
            if parts[::2] == layout.fixed:
                self._read += 1
                values = parts[1::2]
                mapped = layout.mapped(values)
                if mapped is None:
                    return None
                return values[0], values[1], values[2], values[3], values[4], mapped
        return None

    def in_columns(
        self, spans: Sequence[bytes], resource: Resource, mapper: Mapper
    ) -> tuple[list[Block], list[bytes]]:
        """The spans of one resource that layouts hold for, in columns, and those that are to be read one by one."""
        by_length: defaultdict[int, list[bytes]] = defaultdict(list)
        for data in spans:
            by_length[len(data)].append(data)
        families: defaultdict[Family, list[tuple[Read, Bytes]]] = defaultdict(list)
        singles: list[bytes] = []
        for length, alike in by_length.items():
            candidates = self._by_length.get(length)
            if candidates is None or len(alike) < FEWEST:
                singles += alike
                continue
            matrix = np.frombuffer(b"".join(alike), np.uint8).reshape(-1, length)
            for layout in candidates:
                columns = layout.columns
                if columns is None or len(matrix) < FEWEST:
                    continue
                if read := columns.read(matrix, FEWEST):
                    families[columns.family].append((read[0], matrix[read[1]]))
                    matrix = matrix[~read[1]]
            singles += rows_of(matrix) if len(matrix) else ()
        blocks: list[Block] = []
        for family, several in families.items():
            if sum(len(matrix) for _, matrix in several) >= FEW:
                block = family.block([read for read, _ in several], resource, mapper)
                self._read += len(block)
                blocks.append(block)
            else:
                for _, matrix in several:
                    singles += rows_of(matrix)
        return blocks, singles

    def learn(self, data: bytes, table: Attributes, mapped: Mapped) -> None:
        """Remember the layout of a span that the general reader has read, unless it is not worth it.

        A program whose spans never repeat a layout would learn in vain for ever: it stops after PATIENCE of them.
        """
        if len(data) > LONGEST or self._learned > PATIENCE + self._read // WORTH:
            return
        self._learned += 1
        layout = _layout(data, table, mapped, self._families)
        if layout is not None:
            if len(self._by_length) >= LENGTHS:
                self._by_length.clear()
            before = self._by_length.get(len(data), ())
            self._by_length[len(data)] = (layout, *before[: PER_LENGTH - 1])


def _layout(data: bytes, table: Attributes, mapped: Mapped, families: Families) -> Layout | None:
    """The layout of this span, or None when something in it cannot be told from its bytes alone."""
    shape = shape_of({name: None for name in table if name != ABSENT})
    if shape.json_valued or shape.content or shape.spare:
        return None
    parts = _parts(data)
    if parts is None or [part.field for part in parts[:5]] != _HEAD or not all(p.key for p in parts[5:]):
        return None
    keys = {part.key for part in parts if part.key}
    if not keys <= {*shape.sources, *shape.rest}:
        return None
    if any(source in _TOKENS and source not in keys for source in shape.sources):
        return None  # a count that is written as something else than a short integer
    layout = Layout(data, parts, shape, table, mapped, families)
    # What it does not say of its own span it says of no other: members that the mapper added, shortened ones.
    return layout if layout.mapped(layout.unpack(data)[1::2]) == mapped else None


def _parts(data: bytes) -> list[_Part] | None:
    """The variable parts of an encoded span, in order; a missing parent is an empty one. None for what is not covered."""
    parts: list[_Part] = []
    seen: set[str] = set()
    for field, kind, start, end in _records(data):
        if field == _ATTRIBUTE and kind == _BYTES:
            found = _attribute(data, start, end)
            if found is None or found[0] in seen:
                return None
            seen.add(found[0])
            if found[1] is not None:
                parts.append(found[1])
        elif field in _TIMES and kind == _FIXED64:
            if field == _TIMES[0] and len(parts) == 2:
                parts.append(_Part(start, 0, _PARENT))
            parts.append(_Part(start, 8, field))
        elif field in _IDS and kind == _BYTES and end - start == _IDS[field]:
            parts.append(_Part(start, end - start, field))
        elif _AS_IT_IS.get(field) != kind:
            return None
    return parts


def _records(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(field, wire type, start, end) of each record's value. The bytes are a message that protobuf has read."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind == _VARINT:
            size = _varint(data, at)[1] - at
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind, len(data))
        yield field, kind, at, at + size
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at this place, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _attribute(data: bytes, start: int, end: int) -> tuple[str, _Part | None] | None:
    """The key of the encoded KeyValue in data[start:end] and its variable part, if it has one. None: not covered."""
    records = list(_records(data[start:end]))
    if [(field, kind) for field, kind, _, _ in records] != [(1, _BYTES), (2, _BYTES)]:
        return None
    (_, _, key_start, key_end), (_, _, value_start, value_end) = records
    key = data[start + key_start : start + key_end].decode()
    value_start, value_end = start + value_start, start + value_end
    inner = list(_records(data[value_start:value_end]))
    if len(inner) != 1:
        return None
    field, kind, at, until = inner[0]
    if key in vocabulary.CONTENT or key.startswith(vocabulary.CONTENT_PREFIXES):
        return None
    size = until - at
    if (
        (key in _TOKENS and (field, kind) == (3, _VARINT) and size <= _VARINT_MAX)
        or (key in _NUMBERS and (field, kind) == (4, _FIXED64))
        or (key in vocabulary.VARIABLE and (field, kind) == (1, _BYTES) and 0 < size <= TEXT_MAX)
    ):
        return key, _Part(value_start + at, size, _ATTRIBUTE, key)
    return key, None
