"""The pages of telemetry: the incident center, events, quarantine, ingest keys."""

from .events import EventDetail, EventList, QuarantineDetail, QuarantineList
from .incidents import (
    AddNote,
    AssignIncident,
    DeprecateVersion,
    IncidentDetail,
    IncidentList,
    MitigateIncident,
    OpenIncident,
    ReopenIncident,
    ResolveIncident,
    ReviewIncident,
    RollBack,
    TriageIncident,
)
from .keys import IssueKey, KeyList, RevokeKey, RotateKey
from .streams import StreamList

__all__ = [
    "AddNote",
    "AssignIncident",
    "DeprecateVersion",
    "EventDetail",
    "EventList",
    "IncidentDetail",
    "IncidentList",
    "IssueKey",
    "KeyList",
    "MitigateIncident",
    "OpenIncident",
    "QuarantineDetail",
    "QuarantineList",
    "ReopenIncident",
    "ResolveIncident",
    "ReviewIncident",
    "RevokeKey",
    "RollBack",
    "RotateKey",
    "StreamList",
    "TriageIncident",
]
