"""Every write of telemetry: one function per verb."""

from .deprecating import deprecate_by_rule, deprecate_version
from .incidents import (
    MEASURES,
    add_note,
    assign,
    mitigate,
    reopen,
    resolve,
    review,
    roll_back,
    triage,
)
from .ingesting import Receipt, ingest
from .keys import rotate_ingest_key
from .opening import open_incident
from .partitions import prepare

__all__ = [
    "MEASURES",
    "Receipt",
    "add_note",
    "assign",
    "deprecate_by_rule",
    "deprecate_version",
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
