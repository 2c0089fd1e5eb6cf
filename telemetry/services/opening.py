"""Opening an incident, or adding to the one that stands already."""

import re
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Model

from arm import changes, clock
from arm.errors import Conflict
from arm.models import Tenant, User
from arm.permissions import require
from arm.rights import Right
from registry.models import AgentInstance, AgentTemplate, AgentVersion, Environment, Provider
from registry.services.locking import referred

from ..lifecycle import HARM, RECURS_WITHIN, Detection, IncidentKind, Severity, worse
from ..models import Incident
from ..queries import speaks_for
from .harm import may_say_harm
from .timeline import Entry, kept, say, set_severity, tell, write

_TYPEID = re.compile(r"[a-z]{2,5}_[0-9a-z]{26}")
_TRIES = 3
"""How often it is looked again when others open and settle the same in between."""


@transaction.atomic
def open_incident(
    *,
    kind: IncidentKind,
    severity: Severity,
    title: str,
    subject: Model,
    actor: User | None,
    facts: Mapping[str, Any] | None = None,
    detected: Detection = Detection.RULE,
    note: str = "",
    harm: bool | None = None,
    again: bool = False,
) -> Incident:
    """Open an incident about `subject` (an instance, version, template, environment, provider or the tenant).

    The one that is still open for this kind and subject is returned instead of a second; a worse severity raises it.
    `actor` None is a rule of ARM; a person needs the right on the subject.

    `harm`: that what the subject's version does is wrong wherever it runs, so that the tenant's rule may deprecate it.
    Rules say it or it is not said; of a person's incident, None takes it from a kind of HARM about the version itself.
    Who says it speaks for the version (`queries.speaks_for`): NotAllowed for somebody with rights on one of its places only.
    `again`: this is a further occurrence; where an incident stands, its facts are a line on the timeline.
    """
    if actor is not None:
        require(actor, Right.MANAGE_INCIDENT, subject)
    say("/title", title, "Say in one line what is wrong.")
    tenant_id = subject.pk if isinstance(subject, Tenant) else subject.tenant_id  # type: ignore[attr-defined]
    if harm is None:
        harm = actor is not None and kind in HARM and isinstance(subject, AgentVersion)
    places = _places(subject)
    version = places.get("version")
    if harm:
        may_say_harm(actor, version)
    about = {"subject_kind": subject._meta.label_lower, "subject_id": subject.pk}
    if version is not None:
        referred(version)  # before the incident, as who deprecates it or rolls it back does
    same = Incident.objects.live().filter(tenant_id=tenant_id, kind=kind, **about)
    for _ in range(_TRIES):
        if standing := same.held().first():  # as it is now that nobody else is at it
            return _added(standing, severity, harm, actor, note or title, facts if again else None)
        incident = Incident(
            tenant_id=tenant_id,
            kind=kind,
            severity=severity,
            title=title.strip()[:250],
            subject_label=str(subject)[:250],
            opened_at=clock.now(),
            opened_by=actor,
            detected=detected,
            recurrence_of=_earlier(places.get("template"), kind),
            facts=dict(facts or {}),
            harm=harm,
            vouched=severity if speaks_for(actor, version) else "",
            **about,
            **places,
        )
        if kept(incident, force_insert=True):
            break
    else:
        raise Conflict("Others open and settle incidents of this kind about the same subject; try again.")
    write(incident, Entry.OPENED, actor, note, after=incident.get_severity_display())
    after = {
        "kind": kind,
        "severity": severity,
        "harm": harm,
        "subject": f"{about['subject_kind']} {about['subject_id']}",
        "recurrence_of": incident.recurrence_of.typeid if incident.recurrence_of else "",
    }
    changes.record(actor, "telemetry.incident.opened", incident, after=after, reason=note or title)
    tell("telemetry.incident.opened", incident)
    return incident


def _added(
    incident: Incident,
    severity: Severity,
    harm: bool,
    actor: User | None,
    why: str,
    facts: Mapping[str, Any] | None,
) -> Incident:
    """The standing incident (locked), as bad as the worst that was said of it, with what has happened again."""
    if facts:
        text = f"{why} ({', '.join(f'{name}: {value}' for name, value in facts.items())})"
        links = [value for value in facts.values() if isinstance(value, str) and _TYPEID.fullmatch(value)]
        write(incident, Entry.NOTE, actor, text, links=links)
        changes.record(
            actor,
            "telemetry.incident.noted",
            incident,
            after={"text": text, "links": links},
            links=links,
        )
    before: dict[str, Any] = {"severity": incident.severity, "harm": incident.harm}
    vouched = incident.vouched
    if worse(severity, incident.severity):
        set_severity(incident, severity, actor, why)
    if speaks_for(actor, incident.version) and (not vouched or worse(severity, vouched)):
        incident.vouched = severity
    if harm and not incident.harm:
        incident.harm = True
        write(incident, Entry.NOTE, actor, f"The version does harm: {why}")
    after = {"severity": incident.severity, "harm": incident.harm}
    if after != before or incident.vouched != vouched:
        incident.save(update_fields=["severity", "harm", "vouched"])
        before["vouched"], after["vouched"] = vouched, incident.vouched
        changes.record(actor, "telemetry.incident.raised", incident, before=before, after=after, reason=why)
        tell("telemetry.incident.raised", incident)
    return incident


def _places(subject: Model) -> dict[str, Any]:
    """Where the subject stands in the directory, as far as its kind says."""
    if isinstance(subject, AgentInstance):
        return {
            "instance": subject,
            "version": subject.version,
            "template": subject.template,
            "environment": subject.environment,
            "provider": subject.provider,
        }
    if isinstance(subject, AgentVersion):
        return {"version": subject, "template": subject.template}
    for kind, name in ((AgentTemplate, "template"), (Environment, "environment"), (Provider, "provider")):
        if isinstance(subject, kind):
            return {name: subject}
    names = {field.name for field in subject._meta.get_fields()}
    return {name: getattr(subject, name) for name in ("template", "environment", "provider") if name in names}


def _earlier(template: AgentTemplate | None, kind: IncidentKind) -> Incident | None:
    if template is None:
        return None
    since = clock.now() - RECURS_WITHIN
    return (
        Incident.objects.filter(template=template, kind=kind, opened_at__gte=since)
        .order_by("-opened_at")
        .first()
    )
