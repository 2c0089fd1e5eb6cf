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


def plain_digest(value: Any) -> str:
    """The digest of a value known to hold no floats, no huge integers and only ASCII keys."""
    return "sha256:" + hashlib.sha256(_sorted.encode(value)).hexdigest()


def _plain(value: Any) -> bool:
    """Whether msgspec's bytes are the canonical ones. Exact types: a subclass may encode as it likes."""
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                return False
            if type(item) is not str and not _plain(item):
                return False
        return True
    if kind is list:
        for item in value:
            if type(item) is not str and not _plain(item):
                return False
        return True
    if kind is int:
        return bool(-_EXACT <= value <= _EXACT)
    return kind is str or kind is bool or value is None
