"""Every write of telemetry: one function per verb."""

from .incidents import (
    MEASURES,
    add_note,
    assign,
    mitigate,
    open_incident,
    reopen,
    resolve,
    review,
    roll_back,
    triage,
)
from .ingesting import Receipt, ingest
from .keys import rotate_ingest_key
from .partitions import prepare

__all__ = [
    "MEASURES",
    "Receipt",
    "add_note",
    "assign",
    "ingest",
    "mitigate",
    "open_incident",
    "prepare",
    "reopen",
    "resolve",
    "review",
    "roll_back",
    "rotate_ingest_key",
    "triage",
]
