"""Identifiers: UUIDv7 keys that sort by time, shown to people and machines as `<prefix>_<26 characters>` (TypeID)."""

import os
import time
import uuid
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32, as TypeID 0.3 writes it
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_VALUE = {char: value for value, char in enumerate(_ALPHABET)}


def uuid7() -> uuid.UUID:
    """A version 7 UUID (RFC 9562): 48 bits of milliseconds, then 74 random bits."""
    millis = time.time_ns() // 1_000_000
    rest = int.from_bytes(os.urandom(10), "big")
    value = (millis & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (rest >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | rest & (1 << 62) - 1
    return uuid.UUID(int=value)


def uuid7_at(moment: datetime) -> uuid.UUID:
    """A UUIDv7 of that millisecond (aware): for what is told later than it happened."""
    millis = int(moment.timestamp() * 1000)
    return uuid.UUID(int=(millis & (1 << 48) - 1) << 80 | uuid7().int & (1 << 80) - 1)


def encode(prefix: str, value: uuid.UUID) -> str:
    """`encode("ver", …)` gives `ver_01jd…`: the prefix, an underscore, 26 lower-case base 32 characters."""
    number = value.int
    pairs = [_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)]  # two characters at a time
    return f"{prefix}_{''.join(pairs)}"


def decode(prefix: str, text: str) -> uuid.UUID:
    """The UUID behind a TypeID with this prefix; a bare UUID is taken too. ValueError says what is wrong."""
    head, _, body = text.rpartition("_")
    if not head:
        try:
            return uuid.UUID(text)
        except ValueError:
            raise ValueError(f"“{text[:60]}” is not an identifier like {prefix}_….") from None
    if head != prefix:
        raise ValueError(f"“{text[:60]}” is not a {prefix}_… identifier.")
    if len(body) != 26 or body[0] > "7" or not _VALUE.keys() >= set(body):
        raise ValueError(f"“{text[:60]}” is not a well-formed {prefix}_… identifier.")
    number = 0
    for char in body:
        number = number << 5 | _VALUE[char]
    return uuid.UUID(int=number)


class TypeIDConverter:
    """A URL part that is a TypeID of one kind; each app registers a subclass per noun with its `prefix`."""

    prefix = ""
    regex = "[a-z]{2,4}_[0-7][0-9a-z]{25}|[0-9a-fA-F-]{36}"

    def to_python(self, value: str) -> uuid.UUID:
        return decode(self.prefix, value)

    def to_url(self, value: uuid.UUID | str) -> str:
        return value if isinstance(value, str) else encode(self.prefix, value)


def converter(prefix: str) -> type[TypeIDConverter]:
    """The URL converter class for one prefix, for `register_converter`."""
    return type(f"{prefix.title()}Id", (TypeIDConverter,), {"prefix": prefix})
