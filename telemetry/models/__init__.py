"""What agents did and what went wrong with them."""

from .events import CODES_PER_TENANT, OTHER, Code, Event, Job
from .incidents import Incident, IncidentEntry
from .quarantine import ROOM, QuarantineCount, QuarantinedEvent

__all__ = [
    "CODES_PER_TENANT",
    "OTHER",
    "ROOM",
    "Code",
    "Event",
    "Incident",
    "IncidentEntry",
    "Job",
    "QuarantineCount",
    "QuarantinedEvent",
]
