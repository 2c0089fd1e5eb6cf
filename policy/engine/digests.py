"""The one name of an action: SHA-256 over its canonical (RFC 8785) bytes."""

import hashlib
from typing import Any

import msgspec

from arm import crypto

_sorted = msgspec.json.Encoder(order="sorted")
_EXACT = 2**53 - 1


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value. ValueError where it has none (NaN, huge integers, surrogates).

    Without floats and with ASCII keys, msgspec's sorted output is byte for byte the same and 40 times faster.
    """
    if _plain(value):
        try:
            return _sorted.encode(value)
        except UnicodeEncodeError as problem:
            raise ValueError(f"not canonical JSON: {problem}") from problem
    return crypto.canonical(value)


def digest(value: Any) -> str:
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def _plain(value: object) -> bool:
    if isinstance(value, str | bool) or value is None:
        return True
    if isinstance(value, int):
        return -_EXACT <= value <= _EXACT
    if isinstance(value, dict):
        return all(type(key) is str and key.isascii() and _plain(item) for key, item in value.items())
    return isinstance(value, list) and all(map(_plain, value))
