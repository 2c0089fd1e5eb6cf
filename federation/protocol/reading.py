"""Bodies as they come in: I-JSON of a limited size that fits its schema, or a refusal that names every wrong member."""

import json
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from arm.crypto import no_number, once
from arm.errors import Invalid, Problem, TooLarge

from .refusals import Refused
from .schemas import MOST_INTEGER, SCHEMAS

CONTROL_BYTES = 1024 * 1024
PAGE_BYTES = 4 * 1024 * 1024
UNWRITTEN = re.compile("[\x00\ud800-\udfff]")
"""What no database keeps as text, and no UTF-8 writes: NUL, and halves of surrogate pairs."""
FORMATS = FormatChecker([])


@FORMATS.checks("date-time", raises=(ValueError, OverflowError))
def _is_moment(value: object) -> bool:
    """A time that exists, in UTC as well."""
    if isinstance(value, str):
        datetime.fromisoformat(value).astimezone(UTC)
    return True


@cache
def validator(name: str) -> Draft202012Validator:
    known = [(schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()]
    registry = Registry().with_resources(known)
    return Draft202012Validator(SCHEMAS[name], registry=registry, format_checker=FORMATS)


def read(data: bytes, name: str, most: int = CONTROL_BYTES) -> dict[str, Any]:
    """The message in these bytes. TooLarge, Refused `malformed` (no JSON), Invalid (every wrong member)."""
    if len(data) > most:
        raise TooLarge(f"At most {most} bytes are taken here.")
    try:
        said = json.loads(data.decode(), object_pairs_hook=once, parse_constant=no_number, parse_int=_integer)
    except (ValueError, RecursionError) as problem:
        raise Refused("malformed", 400, f"The body is not JSON: {problem}"[:300]) from problem
    if not writable(said):
        raise Refused("malformed", 400, "A text holds NUL or half a surrogate pair.")
    return fitting(said, name)


def writable(said: Any) -> bool:
    """Whether every text in it, names of members as well, can be stored as text."""
    if isinstance(said, str):
        return not UNWRITTEN.search(said)
    if isinstance(said, dict):
        return all(writable(name) and writable(value) for name, value in said.items())
    return all(map(writable, said)) if isinstance(said, list) else True


def plain(text: str) -> str:
    """The text with what cannot be stored written as an escape."""
    return UNWRITTEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def fitting(said: Any, name: str) -> dict[str, Any]:
    """The message, if it fits its schema. Invalid."""
    wrong = [
        Problem(
            pointer="".join(f"/{part}" for part in error.absolute_path),
            code=str(error.validator),
            message=error.message[:200],
        )
        for error in validator(name).iter_errors(said)
    ]
    if wrong:
        raise Invalid("The message has wrong members.", wrong[:20])
    message: dict[str, Any] = said
    return message


def _integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MOST_INTEGER:
        raise ValueError("a number is beyond 2^53-1")
    return int(text)
