"""Doors into evidence."""

from .artefacts import enqueue_next, request_artefact, retry_artefact
from .keys import active_key, unsealed, unsealed_ed25519
from .log import Sealed, seal_log, sequence

__all__ = [
    "Sealed",
    "active_key",
    "enqueue_next",
    "request_artefact",
    "retry_artefact",
    "seal_log",
    "sequence",
    "unsealed",
    "unsealed_ed25519",
]
