"""Telemetry in the second workplace: streams to read; every write of an incident is a command that calls a service."""

from .events import EventAdmin, JobAdmin, QuarantineCountAdmin, QuarantinedEventAdmin
from .incidents import IncidentAdmin
from .streams import Period, StreamAdmin

__all__ = [
    "EventAdmin",
    "IncidentAdmin",
    "JobAdmin",
    "Period",
    "QuarantineCountAdmin",
    "QuarantinedEventAdmin",
    "StreamAdmin",
]
