"""The one name of an action: SHA-256 over its canonical (RFC 8785) bytes."""

from typing import Any

from arm import crypto


def digest(value: Any) -> str:
    return crypto.digest(crypto.canonical(value))


def plain_digest(value: Any) -> str:
    """The digest of a value known to hold no floats, no huge integers and only ASCII keys."""
    return crypto.digest(crypto.SORTED.encode(value))
