"""Bytes that can be proven: canonical JSON, digests, and API tokens with a checksum."""

import hashlib
import re
import secrets
import zlib
from typing import Any

import msgspec
import rfc8785

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"arm[iarpsw]_[0-9A-Za-z]{42}", re.ASCII)


LARGEST = 2**53 - 1
"""Beyond it, readers of JSON differ about an integer."""
SORTED = msgspec.json.Encoder(order="sorted")
"""Canonical for values without fractions, large integers and members that are not ASCII."""


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value. ValueError where it has none: NaN, large integers, lone surrogates.

    Without fractions, whose digits are ECMAScript's, and with ASCII members, msgspec's sorted bytes are the same, and 40
    times as fast.
    """
    try:
        return SORTED.encode(value) if _as_written(value) else rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as problem:
        raise ValueError(f"Not canonical JSON: {problem}") from problem


def _as_written(value: Any) -> bool:
    """Whether msgspec's bytes are the canonical ones. Exact types: a subclass may encode as it likes."""
    kind = type(value)
    if kind is dict:
        for name, held in value.items():
            if type(name) is not str or not name.isascii():
                return False
            if type(held) is not str and not _as_written(held):
                return False
        return True
    if kind is list:
        for held in value:
            if type(held) is not str and not _as_written(held):
                return False
        return True
    if kind is int:
        return bool(-LARGEST <= value <= LARGEST)
    return kind is str or kind is bool or value is None


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads(object_pairs_hook=…)`: readers differ about which of two equal members counts, so there are none."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the member “{name[:80]}” stands there twice")
        found[name] = value
    return found


def no_number(text: str) -> Any:
    """For `json.loads(parse_constant=…)`: NaN and Infinity are Python's, not JSON's."""
    raise ValueError(f"{text} is not a JSON number")


def digest(data: bytes) -> str:
    """`sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def new_token(kind: str) -> str:
    """A fresh secret `arm<kind>_` + 36 base 62 characters (214 bits) + 6 characters of CRC 32 over the rest.

    Kinds: i ingest, w workload, s service, p personal, a access, r registration.
    """
    head = f"arm{kind}_" + "".join(secrets.choice(_BASE62) for _ in range(36))
    return head + _checksum(head)


def token_digest(token: str) -> bytes:
    """SHA-256 of a well-formed token. ValueError before any look-up when shape or checksum is wrong."""
    if not _TOKEN.fullmatch(token) or token[-6:] != _checksum(token[:-6]):
        raise ValueError("Not an ARM token: its shape or its checksum is wrong.")
    return hashlib.sha256(token.encode("ascii")).digest()


def _checksum(head: str) -> str:
    crc, chars = zlib.crc32(head.encode("ascii")), []
    for _ in range(6):
        crc, rest = divmod(crc, 62)
        chars.append(_BASE62[rest])
    return "".join(reversed(chars))
