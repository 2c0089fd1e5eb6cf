"""Incidents: open, triage, mitigate, resolve, review; each step leaves a line on the timeline and a change record."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Model

from arm import changes, clock, tasks
from arm.errors import Conflict, Invalid, Problem
from arm.models import Membership, Tenant, User
from arm.permissions import allowed, require
from arm.rights import Right
from registry import services as registry
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, AgentTemplate, AgentVersion, Environment, Provider

from ..lifecycle import (
    RECURS_WITHIN,
    Detection,
    IncidentKind,
    IncidentState,
    Severity,
    incident_may_move,
    worse,
)
from ..models import Incident, IncidentEntry

MEASURES = (
    InstanceState.READ_ONLY,
    InstanceState.DRAINING,
    InstanceState.PAUSED,
    InstanceState.QUARANTINED,
)
"""What a mitigation may do to the incident's instance, mildest first."""

Entry = IncidentEntry.Kind


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
) -> Incident:
    """Open an incident about `subject` (an instance, version, template, environment, provider or the tenant).

    The one that is still open for this kind and subject is returned instead of a second; a worse severity raises it.
    `actor` None is a rule of ARM; a person needs the right on the subject.
    """
    if actor is not None:
        require(actor, Right.MANAGE_INCIDENT, subject)
    _say("/title", title, "Say in one line what is wrong.")
    tenant_id = subject.pk if isinstance(subject, Tenant) else subject.tenant_id  # type: ignore[attr-defined]
    about = {"subject_kind": subject._meta.label_lower, "subject_id": subject.pk}
    same = Incident.objects.live().filter(tenant_id=tenant_id, kind=kind, **about)
    if standing := same.first():
        return _raised(standing, severity, actor, note or title)
    places = _places(subject)
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
        **about,
        **places,
    )
    try:
        with transaction.atomic():
            incident.save(force_insert=True)
    except IntegrityError:
        if standing := same.first():  # somebody opened it in the meantime
            return _raised(standing, severity, actor, note or title)
        raise
    _write(incident, Entry.OPENED, actor, note, after=incident.get_severity_display())
    after = {
        "kind": kind,
        "severity": severity,
        "subject": f"{about['subject_kind']} {about['subject_id']}",
        "recurrence_of": incident.recurrence_of.typeid if incident.recurrence_of else "",
    }
    changes.record(actor, "telemetry.incident.opened", incident, after=after, reason=note or title)
    _tell("telemetry.incident.opened", incident)
    return incident


@transaction.atomic
def triage(
    *, incident: Incident, severity: Severity, owner: User | None, actor: User, reason: str
) -> Incident:
    """Somebody has looked: how bad it really is, and who takes care."""
    incident = _taken(incident, actor)
    _judge(incident, IncidentState.TRIAGED)
    if incident.state != IncidentState.OPEN:
        raise Conflict(f"It is {incident.get_state_display()}; reopen it if it came back.")
    _say("/reason", reason, "Say what you found; it is kept on the timeline.")
    before = {"state": incident.state, "severity": incident.severity, "owner": _name(incident.owner)}
    _set_severity(incident, severity, actor, reason)
    _set_owner(incident, owner, actor)
    _set_state(incident, IncidentState.TRIAGED, actor, reason)
    incident.save(update_fields=["state", "state_since", "severity", "owner"])
    after = {"state": incident.state, "severity": incident.severity, "owner": _name(owner)}
    changes.record(actor, "telemetry.incident.triaged", incident, before=before, after=after, reason=reason)
    _tell("telemetry.incident.triaged", incident)
    return incident


@transaction.atomic
def mitigate(*, incident: Incident, measure: InstanceState | None, actor: User, reason: str) -> Incident:
    """The harm is stopped: by restricting the incident's instance here (one of MEASURES, with the right to restrict),
    or, with `measure` None, by what `reason` says was done elsewhere. A further measure may follow."""
    incident = _to_mitigate(incident, actor, reason)
    done = "Done elsewhere"
    links: list[str] = []
    if measure is not None:
        if measure not in MEASURES:
            sentence = (
                f"{measure.label} does not stop anything; take one of {', '.join(m.label for m in MEASURES)}."
            )
            raise Invalid(sentence, [_at("/measure", "choice", sentence)])
        if incident.instance is None:
            raise Conflict(
                "This incident is about no single instance; restrict at its template or environment."
            )
        registry.restrict_instance(
            instance=incident.instance, to=measure, actor=actor, reason=reason, links=[incident.typeid]
        )
        done, links = f"{incident.instance}: {measure.label}", [incident.instance.typeid]
    facts = {"measure": measure or "", "instance": links[0] if links else ""}
    return _mitigated(incident, actor, reason, done, links, facts)


@transaction.atomic
def roll_back(*, incident: Incident, actor: User, reason: str) -> Incident:
    """The slot of the incident's instance goes back to its previous version, with the right to roll back there.
    Conflict where the slot has moved on or has nothing to go back to."""
    incident = _to_mitigate(incident, actor, reason)
    if incident.instance is None or incident.instance.slot is None or incident.version is None:
        raise Conflict("This incident is about no instance in a slot; there is nothing to roll back.")
    slot, left = incident.instance.slot, incident.version
    made = registry.roll_back_slot(slot=slot, leaving=left, incident=incident.pk, actor=actor, reason=reason)
    facts = {"measure": "rolled_back", "slot": made.slot.typeid, "version": str(made.to_version)}
    done = f"{made.slot}: back to {made.to_version}"
    return _mitigated(incident, actor, reason, done, [made.slot.typeid, made.typeid], facts)


@transaction.atomic
def resolve(*, incident: Incident, root_cause: str, remediation: str, actor: User) -> Incident:
    """Why it happened and what was changed so that it does not happen again."""
    incident = _taken(incident, actor)
    _judge(incident, IncidentState.RESOLVED)
    missing = [
        _at(f"/{name}", "required", sentence)
        for name, value, sentence in (
            ("root_cause", root_cause, "Say why it happened."),
            ("remediation", remediation, "Say what was changed so that it does not happen again."),
        )
        if not value.strip()
    ]
    if missing:
        raise Invalid("A resolution says why it happened and what was changed.", missing)
    before = {"state": incident.state}
    incident.root_cause, incident.remediation = root_cause.strip(), remediation.strip()
    _set_state(incident, IncidentState.RESOLVED, actor, root_cause)
    incident.save(update_fields=["state", "state_since", "root_cause", "remediation"])
    after = {"state": incident.state, "root_cause": root_cause, "remediation": remediation}
    changes.record(
        actor, "telemetry.incident.resolved", incident, before=before, after=after, reason=root_cause
    )
    _tell("telemetry.incident.resolved", incident)
    return incident


@transaction.atomic
def review(*, incident: Incident, lessons: str, actor: User) -> Incident:
    """The post-mortem is done: what was learned. The incident is closed for good."""
    incident = _taken(incident, actor)
    _judge(incident, IncidentState.REVIEWED)
    _say("/lessons", lessons, "Say what was learned.")
    before = {"state": incident.state}
    incident.lessons = lessons.strip()
    _set_state(incident, IncidentState.REVIEWED, actor, lessons)
    incident.save(update_fields=["state", "state_since", "lessons"])
    after = {"state": incident.state, "lessons": lessons}
    changes.record(actor, "telemetry.incident.reviewed", incident, before=before, after=after, reason=lessons)
    _tell("telemetry.incident.reviewed", incident)
    return incident


@transaction.atomic
def reopen(*, incident: Incident, actor: User, reason: str) -> Incident:
    """It came back: what was thought mitigated or resolved is triaged again."""
    incident = _taken(incident, actor)
    if incident.state not in (IncidentState.MITIGATED, IncidentState.RESOLVED):
        raise Conflict(f"It is {incident.get_state_display()}; only what was mitigated or resolved reopens.")
    _say("/reason", reason, "Say what shows that it is back.")
    standing = Incident.objects.live().filter(
        kind=incident.kind, subject_kind=incident.subject_kind, subject_id=incident.subject_id
    )
    if other := standing.exclude(pk=incident.pk).first():
        raise Conflict("A newer incident of this kind is open on the same subject.", id=other.typeid)
    before = {"state": incident.state}
    _set_state(incident, IncidentState.TRIAGED, actor, reason)
    incident.save(update_fields=["state", "state_since"])
    after = {"state": incident.state}
    changes.record(actor, "telemetry.incident.reopened", incident, before=before, after=after, reason=reason)
    _tell("telemetry.incident.reopened", incident)
    return incident


@transaction.atomic
def assign(*, incident: Incident, owner: User, actor: User, reason: str) -> Incident:
    """Hand the incident to a member who may see it."""
    incident = _taken(incident, actor)
    if not incident.live:
        raise Conflict(f"It is {incident.get_state_display()}; there is nothing left to take care of.")
    before = {"owner": _name(incident.owner)}
    if _set_owner(incident, owner, actor, reason):
        incident.save(update_fields=["owner"])
        after = {"owner": _name(owner)}
        changes.record(
            actor, "telemetry.incident.assigned", incident, before=before, after=after, reason=reason
        )
    return incident


@transaction.atomic
def add_note(*, incident: Incident, text: str, actor: User, links: Sequence[str] = ()) -> IncidentEntry:
    """A line on the timeline, with the identifiers of what it refers to. Notes stay possible after the review."""
    incident = _taken(incident, actor)
    _say("/text", text, "A note says something.")
    entry = _write(incident, Entry.NOTE, actor, text.strip(), links=links)
    after = {"text": entry.text, "links": list(links)}
    changes.record(actor, "telemetry.incident.noted", incident, after=after, links=links)
    return entry


# how it is done


def _taken(incident: Incident, actor: User) -> Incident:
    """The row as it is now, for this transaction alone, if the actor may manage it."""
    require(actor, Right.MANAGE_INCIDENT, incident)
    rows = Incident.objects.select_for_update(of=("self",)).select_related(
        "instance__slot", "version", "owner", "template"
    )
    return rows.get(pk=incident.pk)


def _to_mitigate(incident: Incident, actor: User, reason: str) -> Incident:
    """The row, locked, if a measure may be taken now. A further one may follow the first."""
    incident = _taken(incident, actor)
    if incident.state != IncidentState.MITIGATED:
        _judge(incident, IncidentState.MITIGATED)
    _say("/reason", reason, "Say what was done, or why it is done.")
    return incident


def _mitigated(
    incident: Incident, actor: User, reason: str, done: str, links: list[str], facts: dict[str, Any]
) -> Incident:
    before = {"state": incident.state}
    _write(incident, Entry.MITIGATION, actor, reason, after=done, links=links)
    if incident.state != IncidentState.MITIGATED:
        _set_state(incident, IncidentState.MITIGATED, actor, "")
        incident.save(update_fields=["state", "state_since"])
    after = {"state": incident.state, **facts}
    changes.record(actor, "telemetry.incident.mitigated", incident, before=before, after=after, reason=reason)
    _tell("telemetry.incident.mitigated", incident)
    return incident


def _judge(incident: Incident, to: IncidentState) -> None:
    if not incident_may_move(incident.state, to):
        raise Conflict(f"It is {incident.get_state_display()} and cannot become {to.label}.")


def _raised(incident: Incident, severity: Severity, actor: User | None, why: str) -> Incident:
    """The standing incident, as bad as the worst that was said of it."""
    if not worse(severity, incident.severity):
        return incident
    incident = Incident.objects.select_for_update(of=("self",)).get(pk=incident.pk)
    before = {"severity": incident.severity}
    if worse(severity, incident.severity):
        _set_severity(incident, severity, actor, why)
        incident.save(update_fields=["severity"])
        after = {"severity": severity}
        changes.record(actor, "telemetry.incident.raised", incident, before=before, after=after, reason=why)
        _tell("telemetry.incident.raised", incident)
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


def _set_state(incident: Incident, to: IncidentState, actor: User | None, text: str) -> None:
    before, incident.state = incident.get_state_display(), to
    incident.state_since = clock.now()
    _write(incident, Entry.MOVED, actor, text, before=before, after=to.label)


def _set_severity(incident: Incident, severity: Severity, actor: User | None, text: str) -> None:
    if incident.severity != severity:
        before, incident.severity = incident.get_severity_display(), severity
        _write(incident, Entry.SEVERITY, actor, text, before=before, after=severity.label)


def _set_owner(incident: Incident, owner: User | None, actor: User, text: str = "") -> bool:
    """Whether the owner changed. Only a member of the tenant who may see the incident can own it."""
    if owner == incident.owner:
        return False
    if owner is not None:
        member = Membership.objects.filter(tenant_id=incident.tenant_id, user=owner, active=True).exists()
        if not member or not allowed(owner, Right.READ_INCIDENTS, incident):
            raise Invalid(
                f"{owner} cannot see this incident.",
                [_at("/owner", "cannot_see", f"{owner} cannot see this incident.")],
            )
    before, incident.owner = _name(incident.owner), owner
    _write(incident, Entry.ASSIGNED, actor, text, before=before, after=_name(owner))
    return True


def _write(
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


def _name(user: User | None) -> str:
    return str(user) if user else ""


def _say(pointer: str, text: str, sentence: str) -> None:
    if not text.strip():
        raise Invalid(sentence, [_at(pointer, "required", sentence)])


def _at(pointer: str, code: str, message: str) -> Problem:
    return Problem(pointer=pointer, code=code, message=message)


def _tell(event: str, incident: Incident) -> None:
    tasks.announce(event, tenant_id=incident.tenant_id, incident_id=str(incident.pk))
