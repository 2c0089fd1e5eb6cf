"""From a decoded value to what a field of a row may hold: bounded texts, counts, money, durations, identifiers."""

import hashlib
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from arm import ids
from telemetry.parsing.errors import WrongValue

PICOS = 1_000_000_000_000
INT4_MAX, INT8_MAX = 2**31 - 1, 2**63 - 1
TEXT_MAX = 200
KEPT_TEXT_MAX = 4096
PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/-"
"""A text of these is the same as a field, as a JSON string and as it came."""
UNKNOWN = b""
"""An identifier was given, but it is none of ours."""

_encode = msgspec.json.Encoder().encode
_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def content_digest(value: Any) -> bytes:
    """SHA-256 of a text's UTF-8, or of the JSON (sorted keys) of a structure."""
    data = value.encode() if isinstance(value, str) else msgspec.json.encode(value, order="sorted")
    return hashlib.sha256(data).digest()


def text(value: object, limit: int = TEXT_MAX) -> str:
    """A bounded string without NUL, which PostgreSQL cannot hold. A longer one ends in a digest, so that two stay two."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif not isinstance(value, str):
        if not isinstance(value, int | float):
            raise WrongValue("not a text")
        value = str(value)
    value = value.replace("\x00", "\ufffd").strip()
    if len(value) > limit:
        value = f"{value[: limit - 17]}~{hashlib.sha256(value.encode()).hexdigest()[:16]}"
    return value


def count(value: Any, largest: int = INT4_MAX) -> int:
    """A whole number from 0 to `largest`, given as an integer, a whole float or digits. WrongValue otherwise."""
    if isinstance(value, bool):
        raise WrongValue("a boolean is no count")
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise WrongValue("not a whole number")
        value = int(value)
    if isinstance(value, float):
        if not value.is_integer():
            raise WrongValue("not a whole number")
        value = int(value)
    if not isinstance(value, int) or not 0 <= value <= largest:
        raise WrongValue("out of range")
    return value


def picos(value: Any) -> int:
    """An amount of money, given as number or decimal string, in 10^-12 of its currency (half-even). Or WrongValue."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise WrongValue("not an amount")
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation as error:
        raise WrongValue("not an amount") from error
    if not amount.is_finite() or amount.adjusted() > 18:  # before a huge exponent becomes a huge integer
        raise WrongValue("out of range")
    scaled = int((amount * PICOS).to_integral_value())
    if not -INT8_MAX <= scaled <= INT8_MAX:
        raise WrongValue("out of range")
    return scaled


def milliseconds(seconds: Any) -> int:
    """Seconds (number or text) as whole milliseconds. WrongValue when negative or too large."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | str):
        raise WrongValue("not a duration")
    try:
        value = float(seconds) * 1000
    except (ValueError, OverflowError) as error:
        raise WrongValue("not a duration") from error
    if not 0 <= value <= INT4_MAX:
        raise WrongValue("out of range")
    return round(value)


def identifier(prefix: str, value: Any) -> bytes:
    """The 16 bytes behind a TypeID or a bare UUID; UNKNOWN for any other text."""
    try:
        return ids.decode(prefix, text(value)).bytes
    except ValueError:
        return UNKNOWN


def member(key: str, value: Any) -> bytes:
    """One member of a JSON object, `"key":value` in UTF-8, without NUL."""
    return _encode(key) + b":" + _encode(kept(value))


def kept(value: Any) -> Any:
    """The value as it may stand in leftover attributes: texts bounded and without NUL."""
    if type(value) is not str or (len(value) <= KEPT_TEXT_MAX and "\x00" not in value):
        return value
    return text(value, KEPT_TEXT_MAX)
