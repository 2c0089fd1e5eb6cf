"""The pages of telemetry: the incident center, events, quarantine, ingest keys."""

from .incidents import (
    AddNote,
    AssignIncident,
    IncidentDetail,
    IncidentList,
    MitigateIncident,
    OpenIncident,
    ReopenIncident,
    ResolveIncident,
    ReviewIncident,
    TriageIncident,
)

__all__ = [
    "AddNote",
    "AssignIncident",
    "IncidentDetail",
    "IncidentList",
    "MitigateIncident",
    "OpenIncident",
    "ReopenIncident",
    "ResolveIncident",
    "ReviewIncident",
    "TriageIncident",
]
