"""Telemetry in the second workplace: every write is a command that calls a service."""

from .incidents import IncidentAdmin

__all__ = ["IncidentAdmin"]
