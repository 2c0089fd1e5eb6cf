"""Reads of telemetry that cross models."""

from .incidents import Moment, before_you_stop, open_by_severity, timeline

__all__ = ["Moment", "before_you_stop", "open_by_severity", "timeline"]
