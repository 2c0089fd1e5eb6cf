"""Incidents: open, triage, mitigate, resolve, review; each step leaves a line on the timeline and a change record."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from arm import changes, clock
from arm.errors import Conflict, Invalid
from arm.models import Membership, User
from arm.permissions import allowed, require
from arm.rights import Right
from registry import services as registry
from registry.lifecycle import InstanceState

from ..lifecycle import (
    IncidentState,
    Severity,
    incident_may_move,
)
from ..models import Incident, IncidentEntry
from .harm import may_say_harm, vouch
from .timeline import Entry, at, kept, say, set_severity, tell, write

MEASURES = (
    InstanceState.READ_ONLY,
    InstanceState.DRAINING,
    InstanceState.PAUSED,
    InstanceState.QUARANTINED,
)
"""What a mitigation may do to the incident's instance, mildest first."""
ROWS = Incident.objects.select_related("instance__slot", "version", "owner", "template")


@transaction.atomic
def triage(
    *,
    incident: Incident,
    severity: Severity,
    owner: User | None,
    actor: User,
    reason: str,
    harm: bool | None = None,
) -> Incident:
    """Somebody has looked: how bad it really is, and who takes care. `harm`: that its version does harm wherever it runs,
    or does not after all, by who speaks for the version (NotAllowed); None leaves what was said."""
    incident = _taken(incident, actor)
    _judge(incident, IncidentState.TRIAGED)
    if incident.state != IncidentState.OPEN:
        raise Conflict(f"It is {incident.get_state_display()}; reopen it if it came back.")
    say("/reason", reason, "Say what you found; it is kept on the timeline.")
    before = _judged(incident)
    set_severity(incident, severity, actor, reason)
    vouch(incident, severity, actor)
    if harm is not None and harm != incident.harm:
        may_say_harm(actor, incident.version)
        incident.harm = harm
        does = "The version does harm" if harm else "The version does no harm after all"
        write(incident, Entry.NOTE, actor, f"{does}: {reason}")
    _set_owner(incident, owner, actor)
    _set_state(incident, IncidentState.TRIAGED, actor, reason)
    incident.save(update_fields=["state", "state_since", "severity", "vouched", "harm", "owner"])
    after = _judged(incident)
    changes.record(actor, "telemetry.incident.triaged", incident, before=before, after=after, reason=reason)
    tell("telemetry.incident.triaged", incident)
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
            raise Invalid(sentence, [at("/measure", "choice", sentence)])
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
def roll_back(
    *, incident: Incident, actor: User, reason: str, seen: Mapping[UUID, UUID] | None = None
) -> Incident:
    """The slot of the incident's instance goes back to its previous version, with the right to roll back there.
    Conflict where the slot has moved on or has nothing to go back to, and where that is not what was `seen`."""
    require(actor, Right.MANAGE_INCIDENT, incident)
    said = ROWS.get(pk=incident.pk)  # what it is about never changes; it is locked after slot and version
    if said.instance is None or said.instance.slot is None or said.version is None:
        raise Conflict("This incident is about no instance in a slot; there is nothing to roll back.")
    say("/reason", reason, "Say what was done, or why it is done.")
    slot, left = said.instance.slot, said.version
    made = registry.roll_back_slot(
        slot=slot, leaving=left, incident=said.pk, seen=seen, actor=actor, reason=reason
    )
    incident = _to_mitigate(incident, actor, reason)
    facts = {"measure": "rolled_back", "slot": made.slot.typeid, "version": str(made.to_version)}
    done = f"{made.slot}: back to {made.to_version}"
    return _mitigated(incident, actor, reason, done, [made.slot.typeid, made.typeid], facts)


@transaction.atomic
def resolve(*, incident: Incident, root_cause: str, remediation: str, actor: User) -> Incident:
    """Why it happened and what was changed so that it does not happen again."""
    incident = _taken(incident, actor)
    _judge(incident, IncidentState.RESOLVED)
    missing = [
        at(f"/{name}", "required", sentence)
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
    tell("telemetry.incident.resolved", incident)
    return incident


@transaction.atomic
def review(*, incident: Incident, lessons: str, actor: User) -> Incident:
    """The post-mortem is done: what was learned. The incident is closed for good."""
    incident = _taken(incident, actor)
    _judge(incident, IncidentState.REVIEWED)
    say("/lessons", lessons, "Say what was learned.")
    before = {"state": incident.state}
    incident.lessons = lessons.strip()
    _set_state(incident, IncidentState.REVIEWED, actor, lessons)
    incident.save(update_fields=["state", "state_since", "lessons"])
    after = {"state": incident.state, "lessons": lessons}
    changes.record(actor, "telemetry.incident.reviewed", incident, before=before, after=after, reason=lessons)
    tell("telemetry.incident.reviewed", incident)
    return incident


@transaction.atomic
def reopen(*, incident: Incident, actor: User, reason: str) -> Incident:
    """It came back: what was thought mitigated or resolved is triaged again."""
    incident = _taken(incident, actor)
    if incident.state not in (IncidentState.MITIGATED, IncidentState.RESOLVED):
        raise Conflict(f"It is {incident.get_state_display()}; only what was mitigated or resolved reopens.")
    say("/reason", reason, "Say what shows that it is back.")
    standing = Incident.objects.live().filter(
        kind=incident.kind, subject_kind=incident.subject_kind, subject_id=incident.subject_id
    )
    if other := standing.exclude(pk=incident.pk).first():
        raise Conflict("A newer incident of this kind is open on the same subject.", id=other.typeid)
    before = {"state": incident.state}
    _set_state(incident, IncidentState.TRIAGED, actor, reason)
    if not kept(incident, update_fields=["state", "state_since"]):
        raise Conflict("Somebody has just opened one of this kind on the same subject.")
    after = {"state": incident.state}
    changes.record(actor, "telemetry.incident.reopened", incident, before=before, after=after, reason=reason)
    tell("telemetry.incident.reopened", incident)
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
    say("/text", text, "A note says something.")
    entry = write(incident, Entry.NOTE, actor, text.strip(), links=links)
    after = {"text": entry.text, "links": list(links)}
    changes.record(actor, "telemetry.incident.noted", incident, after=after, links=links)
    return entry


# how it is done


def _judged(incident: Incident) -> dict[str, Any]:
    """What a triage changes, for its record."""
    names = ("state", "severity", "vouched", "harm")
    return {**{name: getattr(incident, name) for name in names}, "owner": _name(incident.owner)}


def _taken(incident: Incident, actor: User) -> Incident:
    """The row as it is now, for this transaction alone, if the actor may manage it."""
    require(actor, Right.MANAGE_INCIDENT, incident)
    return ROWS.held().get(pk=incident.pk)


def _to_mitigate(incident: Incident, actor: User, reason: str) -> Incident:
    """The row, locked, if a measure may be taken now. A further one may follow the first."""
    incident = _taken(incident, actor)
    if incident.state != IncidentState.MITIGATED:
        _judge(incident, IncidentState.MITIGATED)
    say("/reason", reason, "Say what was done, or why it is done.")
    return incident


def _mitigated(
    incident: Incident, actor: User, reason: str, done: str, links: list[str], facts: dict[str, Any]
) -> Incident:
    before = {"state": incident.state}
    write(incident, Entry.MITIGATION, actor, reason, after=done, links=links)
    if incident.state != IncidentState.MITIGATED:
        _set_state(incident, IncidentState.MITIGATED, actor, "")
        incident.save(update_fields=["state", "state_since"])
    after = {"state": incident.state, **facts}
    changes.record(actor, "telemetry.incident.mitigated", incident, before=before, after=after, reason=reason)
    tell("telemetry.incident.mitigated", incident)
    return incident


def _judge(incident: Incident, to: IncidentState) -> None:
    if not incident_may_move(incident.state, to):
        raise Conflict(f"It is {incident.get_state_display()} and cannot become {to.label}.")


def _set_state(incident: Incident, to: IncidentState, actor: User | None, text: str) -> None:
    before, incident.state = incident.get_state_display(), to
    incident.state_since = clock.now()
    write(incident, Entry.MOVED, actor, text, before=before, after=to.label)


def _set_owner(incident: Incident, owner: User | None, actor: User, text: str = "") -> bool:
    """Whether the owner changed. Only a member of the tenant who may see the incident can own it."""
    if owner == incident.owner:
        return False
    if owner is not None:
        member = Membership.objects.filter(tenant_id=incident.tenant_id, user=owner, active=True).exists()
        if not member or not allowed(owner, Right.READ_INCIDENTS, incident):
            raise Invalid(
                f"{owner} cannot see this incident.",
                [at("/owner", "cannot_see", f"{owner} cannot see this incident.")],
            )
    before, incident.owner = _name(incident.owner), owner
    write(incident, Entry.ASSIGNED, actor, text, before=before, after=_name(owner))
    return True


def _name(user: User | None) -> str:
    return str(user) if user else ""
