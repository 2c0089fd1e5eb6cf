"""Reads of telemetry that cross models."""

from .events import activity, quarantined_by_reason, told_by, trace_of, way_out
from .harm import harm_may_be_said, harm_told, speaks_for
from .health import FEWEST, Doing, Staff, doing, staff_doing
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
    "FEWEST",
    "Doing",
    "Staff",
    "activity",
    "before_you_deprecate",
    "before_you_roll_back",
    "before_you_stop",
    "doing",
    "harm_may_be_said",
    "harm_told",
    "hours_around",
    "open_by_severity",
    "quarantined_by_reason",
    "slot_to_roll_back",
    "speaks_for",
    "staff_doing",
    "timeline",
    "told_by",
    "trace_of",
    "version_to_deprecate",
    "way_out",
]
