"""What an incident's page shows beside its row: the timeline, how far a measure reaches, and what stands open."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, QuerySet
from django.urls import reverse

from arm.models import ChangeRecord, User
from arm.permissions import held_on, visible
from arm.ports import Moment, implementations
from arm.rights import Right
from registry.lifecycle import VersionState
from registry.models import AgentInstance, AgentVersion, DeploymentSlot, InstanceInterval
from registry.queries import RollbackPreview

from ..lifecycle import LIVE, Severity
from ..models import Event, Incident, IncidentEntry
from ..parsing import Flag, Status

BEFORE = timedelta(hours=24)
AFTER = timedelta(hours=24)
LINES = 200
"""The newest lines of each source; an incident that needs more is read in the change log."""
AROUND = timedelta(hours=6)
"""Before and after the opening: what the instance did and was refused then stands on the timeline."""
TOLD, LAST = 20, 3
"""Events that went wrong, and events right before the opening, however they went."""
LOOKED_AT = 5000
"""Events of that time looked through: an agent may send a thousand a second."""
WRONG = Flag.VERSION_DRIFT | Flag.MODEL_DRIFT | Flag.TOOL_DRIFT


@dataclass(frozen=True, slots=True)
class Tile:
    """A number and where its rows are; `tone` marks one that somebody should look at."""

    label: str
    value: int
    url: str = ""
    tone: str = ""


_TONES = {Severity.S0: "stop", Severity.S1: "bad", Severity.S2: "warn"}


def timeline(incident: Incident, actor: User) -> list[Moment]:
    """Newest first: what people and rules wrote, and what became of the subject from a day before the incident
    until a day after its last move. Who may not read change records sees the subject's states instead."""
    first = incident.opened_at - BEFORE
    last = incident.state_since + AFTER if not incident.live else None
    moments = [
        _entry(entry) for entry in incident.entries.select_related("author").order_by("-at", "-pk")[:LINES]
    ]
    records = visible(ChangeRecord.objects.all(), actor, Right.READ_AUDIT)
    about = records.filter(
        target_kind=incident.subject_kind, target_id=incident.subject_id, at__gte=first
    ).order_by("-at", "-pk")
    if last:
        about = about.filter(at__lte=last)
    found = [_record(record) for record in about[:LINES]]
    if not found and incident.instance_id:
        found = list(_states(incident, actor, first, last))
    return sorted([*moments, *found, *_around(incident, actor)], key=lambda moment: moment.at, reverse=True)


def hours_around(incident: Incident) -> tuple[datetime, datetime]:
    """The time in which the timeline looks at what the instance did."""
    return incident.opened_at - AROUND, incident.opened_at + AROUND


def _around(incident: Incident, actor: User) -> Iterable[Moment]:
    """What the incident's instance did around the opening, and what other apps saw of it then."""
    if incident.instance is None:
        return
    since, until = hours_around(incident)
    seen = visible(Event.objects.filter(instance=incident.instance), actor, Right.READ_TELEMETRY)
    window = seen.filter(occurred_at__gte=since, occurred_at__lt=until)
    newest = list(
        window.order_by("-event_id").values_list("event_id", "occurred_at", "status", "flags")[:LOOKED_AT]
    )
    told = [key for key, _, status, flags in newest if status != Status.OK or flags & WRONG][:TOLD]
    told += [key for key, at, _, _ in newest if at <= incident.opened_at][:LAST]
    named = window.select_related("tool", "model_used", "model_requested", "error")
    for event in named.filter(event_id__in=told) if told else ():
        yield _event(event, incident.instance)
    for witness in implementations("WITNESSES"):
        yield from witness.saw(actor, incident.instance, since, until, TOLD)


def _event(event: Event, instance: AgentInstance) -> Moment:
    what = str(event.tool or event.model_used or event.model_requested or "")
    ended = {Status.OK: "", Status.ERROR: " failed", Status.DENIED: " was denied"}.get(
        Status(event.status), " was cancelled"
    )
    title = f"{event.get_type_display()}{': ' + what if what else ''}{ended}"
    said = [str(event.error)] if event.error else []
    said += event.noticed
    state = {Status.OK: "ok", Status.ERROR: "error", Status.DENIED: "deny"}.get(
        Status(event.status), "cancelled"
    )
    if state == "ok" and event.flags & WRONG:
        state = "warning"
    return Moment(event.occurred_at, title, str(instance), ", ".join(said), event.get_absolute_url(), state)


def slot_to_roll_back(incident: Incident, actor: User) -> DeploymentSlot | None:
    """The slot that could go back to its previous version, if this person may do that and it would help: it is still
    bound to the version that the incident is about."""
    if incident.instance is None or incident.instance.slot_id is None:
        return None
    slot = DeploymentSlot.objects.select_related(
        "role", "environment", "current_version__template", "previous_version__template"
    ).get(pk=incident.instance.slot_id)
    useful = slot.current_version_id == incident.version_id and slot.goes_back_to is not None
    return slot if useful and Right.ROLL_BACK_RELEASE in held_on(actor, slot) else None


def version_to_deprecate(incident: Incident, actor: User) -> AgentVersion | None:
    """The incident's version, if it is approved and this person may deprecate it."""
    version = incident.version
    if version is None or version.state != VersionState.APPROVED:
        return None
    may = {Right.PROMOTE_RELEASE, Right.ROLL_BACK_RELEASE} & held_on(actor, version)
    return version if may else None


def before_you_deprecate(version: AgentVersion, actor: User) -> list[Tile]:
    """What goes on as it is: slots that bind the version, and what runs it. What the actor does not see is a number."""
    by, tiles = f"version={version.typeid}", []
    rows: tuple[tuple[str, str, QuerySet[Any]], ...] = (
        ("Slots that keep it for now", "slot_list", DeploymentSlot.objects.filter(current_version=version)),
        ("Instances that go on", "instance_list", AgentInstance.objects.live().filter(version=version)),
    )
    for label, page, found in rows:
        seen = visible(found, actor, Right.READ_DIRECTORY).count()
        tiles.append(Tile(label, seen, f"{reverse(f'registry:{page}')}?{by}"))
        if hidden := found.count() - seen:
            tiles.append(Tile(f"{label}, not shown to you", hidden))
    return tiles


def before_you_roll_back(preview: RollbackPreview) -> list[Tile]:
    """What happens to whatever runs in the slot, and which other slots keep the version."""
    page = f"{reverse('registry:instance_list')}?slot={preview.slot.typeid}&version={preview.leaving.typeid}"
    others = f"{reverse('registry:slot_list')}?version={preview.leaving.typeid}"
    return [
        Tile("Drain", preview.drains, page),
        Tile("Provisioned anew", preview.provisioned, page),
        Tile("Stay stopped", preview.left, page, "warn" if preview.left else ""),
        Tile("Other slots that keep it", len(preview.others) + preview.others_hidden, others),
    ]


def before_you_stop(instance: AgentInstance, actor: User) -> list[Tile]:
    """What else leans on the instance: those it has spawned, and who would be left to do its work."""
    seen = visible(AgentInstance.objects.live(), actor, Right.READ_DIRECTORY)
    page = reverse("registry:instance_list")
    peers = seen.filter(environment=instance.environment_id, state="active").exclude(pk=instance.pk)
    peers = (
        peers.filter(role=instance.role_id)
        if instance.role_id
        else peers.filter(template=instance.template_id)
    )
    same = f"{page}?template={instance.template.typeid}&environment={instance.environment.slug}&state=active"
    return [
        Tile("Others left to do its work", peers.count(), same),
        Tile("Spawned by it, still live", seen.filter(parent=instance).count()),
    ]


def open_by_severity(incidents: QuerySet[Incident]) -> list[Tile]:
    """How many of these are live per severity, worst first; none is a 0 and not an absence."""
    rows = incidents.filter(state__in=LIVE).order_by().values_list("severity").annotate(n=Count("pk"))
    counted = Counter(dict(rows))
    page = reverse("telemetry:incident_list")
    return [
        Tile(
            severity.label,
            counted[severity.value],
            f"{page}?severity={severity.value}",
            _TONES.get(severity, "") if counted[severity.value] else "",
        )
        for severity in Severity
    ]


def _entry(entry: IncidentEntry) -> Moment:
    kind = IncidentEntry.Kind(entry.kind)
    title = kind.label
    state = ""
    if kind is IncidentEntry.Kind.MOVED:
        title, state = f"{entry.before} → {entry.after}", entry.after.lower()
    elif kind is IncidentEntry.Kind.SEVERITY:
        title, state = f"Severity {entry.before} → {entry.after}", entry.after[:2]
    elif kind is IncidentEntry.Kind.ASSIGNED:
        title = f"Assigned to {entry.after}" if entry.after else f"No longer with {entry.before}"
    elif kind is IncidentEntry.Kind.OPENED:
        title, state = f"Opened as {entry.after}", "open"
    elif kind is IncidentEntry.Kind.MITIGATION:
        title = entry.after
    return Moment(entry.at, title, str(entry.author or "ARM"), entry.text, "", state)


def _record(record: ChangeRecord) -> Moment:
    verb = record.verb.rpartition(".")[2].replace("_", " ")
    state = str(record.after.get("state", ""))
    title = f"{record.target_label} {verb}"
    return Moment(record.at, title, record.actor_label, record.reason, record.get_absolute_url(), state)


def _states(incident: Incident, actor: User, first: datetime, last: datetime | None) -> Iterable[Moment]:
    rows = visible(InstanceInterval.objects.select_related("instance"), actor, Right.READ_DIRECTORY)
    rows = rows.filter(instance=incident.instance_id, since__gte=first).order_by("-since")
    if last:
        rows = rows.filter(since__lte=last)
    for row in rows[:LINES]:
        yield Moment(row.since, f"{row.instance} became {row.get_state_display()}", state=row.state)
