"""What every step of an incident leaves: a line on the timeline, the news of it, and the refusal of what says nothing."""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction

from arm import tasks
from arm.errors import Invalid, Problem
from arm.models import User

from ..lifecycle import Severity
from ..models import Incident, IncidentEntry
from ..models.incidents import ONCE

Entry = IncidentEntry.Kind


def set_severity(incident: Incident, severity: Severity, actor: User | None, text: str) -> None:
    if incident.severity != severity:
        before, incident.severity = incident.get_severity_display(), severity
        write(incident, Entry.SEVERITY, actor, text, before=before, after=severity.label)


def write(
    incident: Incident,
    kind: IncidentEntry.Kind,
    actor: User | None,
    text: str,
    *,
    before: str = "",
    after: str = "",
    links: Sequence[str] = (),
) -> IncidentEntry:
    return IncidentEntry.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        kind=kind,
        author=actor,
        text=text,
        before=before[:120],
        after=after[:120],
        links=list(links),
    )


def kept(incident: Incident, **how: Any) -> bool:
    """Whether it is stored as one that stands (`how` as of `save`); not where somebody has opened the same meanwhile."""
    try:
        with transaction.atomic():
            incident.save(**how)
    except IntegrityError as clash:
        if ONCE not in str(clash):
            raise
        return False
    return True


def say(pointer: str, text: str, sentence: str) -> None:
    if not text.strip():
        raise Invalid(sentence, [at(pointer, "required", sentence)])


def at(pointer: str, code: str, message: str) -> Problem:
    return Problem(pointer=pointer, code=code, message=message)


def tell(event: str, incident: Incident) -> None:
    tasks.announce(event, tenant_id=incident.tenant_id, incident_id=str(incident.pk))
