"""The one name of an action: SHA-256 over its canonical (RFC 8785) bytes."""

import hashlib
from typing import Any

import msgspec

from arm import crypto

_sorted = msgspec.json.Encoder(order="sorted")


def digest(value: Any) -> str:
    return crypto.digest(crypto.canonical(value))


def plain_digest(value: Any) -> str:
    """The digest of a value known to hold no floats, no huge integers and only ASCII keys."""
    return "sha256:" + hashlib.sha256(_sorted.encode(value)).hexdigest()
