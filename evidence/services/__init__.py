"""Doors into evidence."""

from .keys import active_key, unsealed
from .log import Sealed, seal_log, sequence

__all__ = ["Sealed", "active_key", "seal_log", "sequence", "unsealed"]
