"""Spans of one program look alike: what to read from a span is worked out once for each set of attribute names.

A `Shape` is compiled from the names in order. After that a span costs one `itemgetter` call instead of some seventy
look-ups, which is what makes the mapper fast enough to run inside the request.
"""

import hashlib
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final

from telemetry.parsing import admission, values, vocabulary

LARGEST: Final = 8192
"""Shapes remembered. A program has a few; only a hostile sender has thousands, and then all are forgotten."""
ATTRIBUTES_MAX: Final = 32 * 1024
ABSENT: Final = ""
"""The name under which every attribute table holds None."""
OPERATION: Final = "gen_ai.operation.name"

Pick = Callable[[dict[str, Any]], tuple[Any, ...]]


class Shape:
    """How to read spans with exactly these attribute names."""

    __slots__ = (
        "content",
        "counted",
        "json_valued",
        "operation",
        "pick",
        "pick_rest",
        "rest",
        "sources",
        "spare",
        "steer",
        "steered",
    )

    def __init__(self, names: tuple[str, ...]) -> None:
        present = set(names)

        def best(fields: dict[str, tuple[str, ...]]) -> list[str]:
            return [next((name for name in found if name in present), ABSENT) for found in fields.values()]

        steering, fields = best(vocabulary.STEERING), best(vocabulary.FIELDS)
        self.sources = tuple(fields)
        """Which name fills which field, in the order of vocabulary.FIELDS."""
        self.steer: Pick = itemgetter(*steering)
        self.pick: Pick = itemgetter(*fields)
        chosen = zip(vocabulary.FIELDS, fields, strict=True)
        self.counted = any(source != ABSENT for field, source in chosen if field in vocabulary.TOKENS)
        self.operation = OPERATION if OPERATION in present else ABSENT
        self.steered = any(name not in (ABSENT, OPERATION) for name in steering)
        self.json_valued = tuple(name for name in names if name in vocabulary.JSON_VALUED)
        self.content = tuple(sorted(name for name in present if admission.is_content(name)))
        kept = [
            name for name in names if name and name not in vocabulary.JSON_VALUED and name not in self.content
        ]
        self.rest = tuple(name for name in kept if name not in vocabulary.SOURCES)
        self.pick_rest: Pick | None = itemgetter(*self.rest) if len(self.rest) > 1 else None
        # A source that lost to a better one is kept as it came: two dialects on one span may disagree.
        self.spare = tuple(
            name for name in kept if name in vocabulary.SOURCES and name not in steering + fields
        )

    def attributes(self, table: dict[str, Any], *more: bytes) -> bytes:
        """The JSON object (UTF-8, at most ATTRIBUTES_MAX bytes) of what has no field of its own, and `more` members."""
        if self.pick_rest is not None and not self.spare and not more:
            text = b"{%b}" % b",".join(self.pick_rest(table))
            if len(text) <= ATTRIBUTES_MAX:
                return text
        elif not self.rest and not self.spare and not more:
            return b"{}"
        members = [table[name] for name in self.rest]
        members += [values.member(name, table[name]) for name in self.spare]
        members += more
        text = b"{%b}" % b",".join(members)
        return text if len(text) <= ATTRIBUTES_MAX else _shortened(members)

    def digest(self, table: dict[str, Any]) -> bytes | None:
        """One SHA-256 over all content of the span: name and digest of each part, by name. None without content."""
        if not self.content:
            return None
        return hashlib.sha256(b"".join(name.encode() + b"\0" + table[name] for name in self.content)).digest()


_shapes: dict[tuple[str, ...], Shape] = {}


def shape_of(table: dict[str, Any]) -> Shape:
    """The compiled shape of this attribute table (which must not hold ABSENT yet)."""
    names = tuple(table)
    shape = _shapes.get(names)
    if shape is None:
        shape = Shape(names)
        if len(_shapes) >= LARGEST:
            _shapes.clear()
        if len(names) <= 256:
            _shapes[names] = shape
    return shape


def _shortened(members: list[bytes]) -> bytes:
    """The members that fit, smallest first, and how many did not."""
    kept: list[bytes] = []
    room = ATTRIBUTES_MAX - 64
    for member in sorted(members, key=len):
        if len(member) + 1 > room:
            break
        room -= len(member) + 1
        kept.append(member)
    kept.append(b'"arm.attributes_dropped":%d' % (len(members) - len(kept)))
    return b"{%b}" % b",".join(kept)
