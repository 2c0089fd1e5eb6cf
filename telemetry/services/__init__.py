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
    triage,
)

__all__ = [
    "MEASURES",
    "add_note",
    "assign",
    "mitigate",
    "open_incident",
    "reopen",
    "resolve",
    "review",
    "triage",
]
