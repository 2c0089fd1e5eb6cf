"""Bytes of a stranger to one JSON object: strict I-JSON, and the part of YAML that means the same."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from arm.errors import Invalid, Problem, TooLarge
from registry.genome.kinds import Json

MAX_BYTES = 5 * 1024 * 1024
MAX_DEPTH = 32
MAX_YAML_VALUES = 250_000  # libyaml hands over about 400,000 events a second; JSON needs no such limit
MAX_SAFE = 2**53 - 1  # beyond it a double, and so RFC 8785, cannot tell neighbours apart

JSON_TYPES = frozenset({"application/json", "text/json"})
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})


@dataclass(frozen=True)
class Parsed:
    """One JSON object with nothing in it that RFC 8785 could not write."""

    document: dict[str, Json]


def read(data: bytes | str, *, media_type: str) -> Parsed:
    """Parse a JSON or YAML document into one object of at most 5 MiB and 32 levels.

    TooLarge beyond 5 MiB; Invalid with every problem and its JSON pointer for anything else: not UTF-8, not JSON, a
    repeated name, a number beyond 2^53-1, NaN, half a surrogate pair, U+0000, a YAML alias or tag.
    """
    text = _decoded(data)
    base = media_type.partition(";")[0].strip().lower()
    if base in JSON_TYPES or base.endswith("+json"):
        value = _from_json(text)
    elif base in YAML_TYPES or base.endswith("+yaml"):
        value = _from_yaml(text)
    else:
        _refuse("", "media_type", "The document must be sent as application/json or application/yaml.")
    if problems := list(_flaws(value, [])):
        raise Invalid("The document is not I-JSON (RFC 7493).", problems)
    if not isinstance(value, dict):
        _refuse("", "type", "The document must be one object.")
    return Parsed(value)


def unwritable(document: dict[str, Json]) -> list[Problem]:
    """What RFC 8785 could not write of an object that did not come through `read`, each with its JSON pointer."""
    return list(_flaws(_judged(document, 0), []))


def _judged(value: Any, depth: int) -> Any:
    """As `_from_json` would have made it: what is no value of I-JSON is marked. Deeper than is read nobody looks."""
    if isinstance(value, dict | list) and depth > MAX_DEPTH:
        return value
    if isinstance(value, dict):
        return {str(name): _judged(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_judged(inner, depth + 1) for inner in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) <= MAX_SAFE:
        return value
    return _BadNumber(str(value))


def pointer(path: Iterable[str | int]) -> str:
    """RFC 6901 for a path of names and indexes."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def packed(data: bytes) -> str:
    """What archive or compression the first bytes are of, or ''. Nothing is ever unpacked here: a small one can hold
    more than any machine."""
    return next((name for start, name in _PACKED if data.startswith(start)), "")


_PACKED = (
    (b"PK\x03\x04", "ZIP, or a spreadsheet file"),
    (b"PK\x05\x06", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
)


def _refuse(where: str, code: str, message: str) -> NoReturn:
    raise Invalid("The document cannot be read.", [Problem(pointer=where, code=code, message=message)])


def _decoded(data: bytes | str) -> str:
    try:
        raw = data if isinstance(data, bytes) else data.encode()
        if len(raw) > MAX_BYTES:
            raise TooLarge(f"The document has {len(raw):,} bytes; at most {MAX_BYTES:,} are read.")
        if kind := packed(raw):
            _refuse("", "packed", f"The document is packed ({kind}); unpack it and send what is in it.")
        text = raw.decode()
    except (UnicodeDecodeError, UnicodeEncodeError) as problem:
        _refuse("", "encoding", f"The document is not UTF-8: {problem.reason} at position {problem.start}.")
    if text.startswith("\ufeff"):
        _refuse("", "encoding", "The document starts with a byte order mark; save it as UTF-8 without one.")
    return text


# JSON


class _Repeated(dict[str, Json]):
    """An object in which these names came more than once."""

    names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _BadNumber:
    written: str


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated, seen, names = _Repeated(found), set[str](), set[str]()
    for name, _ in pairs:
        (names if name in seen else seen).add(name)
    repeated.names = frozenset(names)
    return repeated


def _integer(written: str) -> int | _BadNumber:
    if len(written) <= 17 and abs(number := int(written)) <= MAX_SAFE:
        return number
    return _BadNumber(written)


def _float(written: str) -> float | _BadNumber:
    number = float(written)
    # every double from here on is whole, so it would be written as an integer that is refused when read back
    return number if math.isfinite(number) and abs(number) <= MAX_SAFE else _BadNumber(written)


def _from_json(text: str) -> Json:
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_BadNumber,
        )
    except json.JSONDecodeError as problem:
        _refuse("", "syntax", f"Not JSON: {problem.msg} (line {problem.lineno}, column {problem.colno}).")
    except RecursionError:
        _refuse("", "depth", f"The document is nested more than {MAX_DEPTH} levels deep.")


# YAML

_YAML_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_YAML_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_YAML_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_YAML_NOT_FINITE = re.compile(r"[+-]?\.(nan|NaN|NAN|inf|Inf|INF)")


class _Builder:
    """Values out of YAML events. Dates, `yes` and `0x1f` stay strings: only what JSON knows has a meaning."""

    def __init__(self) -> None:
        self.root: list[Json] = []
        self.open: list[Json] = [self.root]
        self.keys: list[str | None] = [None]

    def path(self) -> str:
        steps: list[str | int] = []
        for container, key in zip(self.open[1:], self.keys[1:], strict=True):
            if isinstance(container, list):
                steps.append(len(container))
            elif key is not None:
                steps.append(key)
        return pointer(steps)

    def add(self, value: Json) -> None:
        container = self.open[-1]
        if isinstance(container, list):
            container.append(value)
        elif self.keys[-1] is None:
            self._name(container, value)
        else:
            container[self.keys[-1]] = value
            self.keys[-1] = None

    def _name(self, container: dict[str, Json], name: Json) -> None:
        if not isinstance(name, str):
            _refuse(self.path(), "name", "A member's name must be a string; put it in quotes.")
        self.keys[-1] = name
        if name in container:
            _refuse(self.path(), "duplicate", "This name comes twice in the same object.")

    def start(self, container: Json) -> None:
        if isinstance(self.open[-1], dict) and self.keys[-1] is None:
            _refuse(self.path(), "name", "A member's name must be a string.")
        if len(self.open) > MAX_DEPTH:
            _refuse(self.path(), "depth", f"The document is nested more than {MAX_DEPTH} levels deep.")
        self.open.append(container)
        self.keys.append(None)

    def end(self) -> None:
        self.keys.pop()
        self.add(self.open.pop())


def _from_yaml(text: str) -> Json:
    builder, documents = _Builder(), 0
    try:
        for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
            if count > MAX_YAML_VALUES:
                raise TooLarge(f"The document has more than {MAX_YAML_VALUES:,} values; send it as JSON.")
            documents += isinstance(event, yaml.DocumentStartEvent)
            if documents > 1:
                _refuse("", "documents", "The file holds several YAML documents; send one.")
            _take(event, builder)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        _refuse("", "syntax", f"Not YAML: {problem.problem or problem.context}{where}.")
    except yaml.YAMLError as problem:
        _refuse("", "syntax", f"Not YAML: {problem}.")
    return builder.root[0] if builder.root else None


def _take(event: yaml.Event, builder: _Builder) -> None:
    if isinstance(event, yaml.AliasEvent):
        _refuse(builder.path(), "alias", "YAML aliases are not read; write the value out.")
    if isinstance(event, yaml.NodeEvent):
        if event.anchor is not None:
            _refuse(builder.path(), "alias", "YAML anchors are not read; write the value out.")
        if getattr(event, "tag", None) is not None:
            _refuse(builder.path(), "tag", "YAML tags are not read; only what JSON knows is.")
    if isinstance(event, yaml.ScalarEvent):
        builder.add(event.value if event.style else _plain(event.value))
    elif isinstance(event, yaml.MappingStartEvent):
        builder.start({})
    elif isinstance(event, yaml.SequenceStartEvent):
        builder.start([])
    elif isinstance(event, yaml.CollectionEndEvent):
        builder.end()


def _plain(written: str) -> Json:
    word = written if written in _YAML_WORDS else written.lower()
    if word in _YAML_WORDS and written in (word, word.upper(), word.capitalize()):
        return _YAML_WORDS[word]
    if _YAML_INTEGER.fullmatch(written):
        return _integer(written)
    if _YAML_FLOAT.fullmatch(written):
        return _float(written)
    return _BadNumber(written) if _YAML_NOT_FINITE.fullmatch(written) else written


# both


def _flaws(value: Any, path: list[str | int]) -> Iterator[Problem]:
    if isinstance(value, str):
        yield from _text_flaws(value, path)
    elif isinstance(value, _BadNumber):
        message = f"{value.written[:40]} is not a number that every reader holds exactly (at most 2^53-1)."
        yield Problem(pointer=pointer(path), code="number", message=message)
    elif isinstance(value, dict | list):
        if len(path) >= MAX_DEPTH and value:
            message = f"The document is nested more than {MAX_DEPTH} levels deep."
            yield Problem(pointer=pointer(path), code="depth", message=message)
            return
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(step, str) and not (type(value) is dict and _sound(step)):
                yield from _name_flaws(step, value, path)
            if not isinstance(inner, int) and not (type(inner) is str and _sound(inner)):
                path.append(step)
                yield from _flaws(inner, path)
                path.pop()


def _name_flaws(name: str, within: Any, path: list[str | int]) -> Iterator[Problem]:
    if isinstance(within, _Repeated) and name in within.names:
        message = "This name comes twice in the same object."
        yield Problem(pointer=pointer([*path, name]), code="duplicate", message=message)
    if "\0" in name or _broken(name):
        yield from _text_flaws(name, path)  # the name itself could not be written into an answer


def _sound(text: str) -> bool:
    """What nearly every text is, asked before anything is looked for in it: ten thousand rows have a hundred thousand."""
    return text.isascii() and "\0" not in text


def _broken(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)


def _text_flaws(text: str, path: list[str | int]) -> Iterator[Problem]:
    if "\0" in text:
        yield Problem(pointer=pointer(path), code="text", message="The text holds U+0000.")
    if _broken(text):
        yield Problem(pointer=pointer(path), code="text", message="The text holds half a surrogate pair.")
