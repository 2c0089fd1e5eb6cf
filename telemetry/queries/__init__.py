"""Reads of telemetry that cross models."""

from .events import activity, quarantined_by_reason, told_by, trace_of, way_out
from .incidents import Moment, before_you_stop, open_by_severity, timeline

__all__ = [
    "Moment",
    "activity",
    "before_you_stop",
    "open_by_severity",
    "quarantined_by_reason",
    "timeline",
    "told_by",
    "trace_of",
    "way_out",
]
