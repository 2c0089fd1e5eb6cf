"""Reads of telemetry that cross models."""

from .events import activity, quarantined_by_reason, told_by, trace_of, way_out
from .health import Doing, doing
from .incidents import (
    before_you_deprecate,
    before_you_roll_back,
    before_you_stop,
    hours_around,
    open_by_severity,
    slot_to_roll_back,
    timeline,
    version_to_deprecate,
)

__all__ = [
    "Doing",
    "activity",
    "before_you_deprecate",
    "before_you_roll_back",
    "before_you_stop",
    "doing",
    "hours_around",
    "open_by_severity",
    "quarantined_by_reason",
    "slot_to_roll_back",
    "timeline",
    "told_by",
    "trace_of",
    "version_to_deprecate",
    "way_out",
]
