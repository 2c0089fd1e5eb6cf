"""JSON values: finding one by its pointer, comparing two, and showing one in a few characters."""

import json
from typing import Any, Final

import re2

Json = Any
MISSING: Final = object()
SHOWN: Final = 300
LONGEST_PATTERN: Final = 1000
PATTERN_MEMORY: Final = 512 * 1024
"""Bytes that a compiled pattern may take: also a pattern that is refused costs the time to get there."""
LONGEST_POINTER: Final = 500


def find(value: Json, pointer: str) -> Json:
    """What an RFC 6901 pointer names, or MISSING."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name, MISSING)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and str(int(name)) == name:
            value = value[int(name)] if int(name) < len(value) else MISSING
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


def pointer_problem(text: object) -> str:
    """What is wrong with an RFC 6901 pointer; '' where nothing is."""
    if not isinstance(text, str) or len(text) > LONGEST_POINTER:
        return f"Must be a JSON Pointer of at most {LONGEST_POINTER} characters, like /output/text."
    if text and not text.startswith("/"):
        return "A JSON Pointer begins with a slash, like /output/text; empty, it is the whole answer."
    if any(part[:1] not in ("0", "1") for part in text.split("~")[1:]):
        return "In a JSON Pointer ~ is written ~0, and / within a name ~1."
    return ""


def same(one: Json, other: Json) -> bool:
    """JSON equality: true is not 1, 1 is 1.0, members have no order."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def count(value: Json, most: int) -> int:
    """How many values there are in it, itself included; counts no further than `most` + 1."""
    waiting, found = [value], 0
    while waiting and found <= most:
        one = waiting.pop()
        found += 1
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found


def short(value: Json, most: int = SHOWN) -> str:
    """The value as JSON, cut."""
    if value is MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def pattern(text: object) -> Any:
    """A compiled RE2 pattern: it takes time in proportion to the text, whatever the text. ValueError says what is wrong."""
    if not isinstance(text, str) or not text:
        raise ValueError("Must be a regular expression (RE2).")
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"A pattern has at most {LONGEST_PATTERN} characters.")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY
    try:
        return re2.compile(text, options)
    except re2.error as problem:
        said = problem.args[0]
        why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"Not a regular expression of RE2: {why}.") from None
