"""What agents did and what went wrong with them."""

from .incidents import Incident, IncidentEntry

__all__ = ["Incident", "IncidentEntry"]
