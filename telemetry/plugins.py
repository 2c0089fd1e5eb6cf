"""What telemetry answers to the apps below it: incidents that their rules open, panels, navigation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.datastructures import MultiValueDict

from arm import clock
from arm.errors import Invalid, Problem
from arm.models import Tenant, TenantRow
from arm.panels import Entry, Hit, Panel, rights_of_visitor
from arm.permissions import held_on, visible
from arm.rights import Right
from arm.words import counted
from registry.engine import Fact
from registry.models import AgentInstance, AgentVersion, DeploymentSlot

from . import services
from .filters import IncidentFilter
from .lifecycle import LIVE, Detection, IncidentKind, IncidentState, Severity
from .models import Event, Incident, Job
from .queries import Doing, activity, doing, open_by_severity


class Incidents:
    """`arm.ports.Incidents`: an automatic rule opens an incident in its own transaction."""

    def open(
        self,
        *,
        tenant_id: UUID,
        kind: str,
        severity: str,
        title: str,
        subject_kind: str,
        subject_id: UUID,
        facts: Mapping[str, Any],
        harm: bool = False,
        again: bool = False,
    ) -> UUID:
        """The id of the incident, new or standing. Invalid names what the rule got wrong."""
        problems = [
            Problem(pointer=f"/{name}", code="choice", message=f"Must be one of {', '.join(choices)}.")
            for name, value, choices in (
                ("kind", kind, IncidentKind.values),
                ("severity", severity, Severity.values),
            )
            if value not in choices
        ]
        subject = _subject(tenant_id, subject_kind, subject_id)
        if subject is None:
            problems.append(
                Problem(pointer="/subject_id", code="unknown", message="There is no such subject.")
            )
        if problems or subject is None:
            raise Invalid("The incident cannot be opened like this.", problems)
        return services.open_incident(
            kind=IncidentKind(kind),
            severity=Severity(severity),
            title=title,
            subject=subject,
            actor=None,
            facts=facts,
            detected=Detection.RULE,
            harm=harm,
            again=again,
        ).pk

    def standing(self, *, tenant_id: UUID, incident_id: UUID) -> str:
        """Its identifier and title; nobody resolves or reopens it before the caller's transaction ends."""
        rows = Incident.objects.select_for_update(no_key=True).filter(tenant=tenant_id, pk=incident_id)
        incident = rows.first()
        if incident is None:
            return str(incident_id)
        return f"{incident.typeid} (“{incident}”)" if incident.live else ""


def _subject(tenant_id: UUID, kind: str, pk: UUID) -> Model | None:
    """The row of this tenant; None where the kind or the row does not exist."""
    models = {model._meta.label_lower: model for model in apps.get_models()}
    if kind not in models:
        return None
    wanted = {"pk": pk} if models[kind] is Tenant else {"pk": pk, "tenant_id": tenant_id}
    return models[kind]._default_manager.filter(**wanted).first()


class JobsInFlight:
    """`registry.gates.WorkInFlight`: jobs that an instance has named and of which no outcome was heard."""

    lately = timedelta(hours=1)
    """A job that nobody speaks of any longer does not hold an instance for ever."""

    def of(self, instance: AgentInstance) -> Mapping[str, int]:
        now = clock.now()
        jobs = Job.objects.filter(
            tenant=instance.tenant_id,
            reported_by_id=instance.pk,
            outcome="",
            first_seen_at__gt=now - timedelta(days=1),
            last_seen_at__gt=now - self.lately,
        )
        return {"jobs without an outcome": jobs.count()}


class Navigation:
    """Telemetry's entries."""

    entries = (
        Entry("Fleet", "Incidents", "telemetry:incident_list", Right.READ_INCIDENTS, "incidents", "n"),
        Entry("Telemetry", "Events", "telemetry:event_list", Right.READ_TELEMETRY, "telemetry", "t"),
        Entry("Telemetry", "Quarantine", "telemetry:quarantine_list", Right.READ_TELEMETRY, "quarantine"),
        Entry("Settings", "Ingest keys", "telemetry:key_list", Right.MANAGE_KEYS, "keys"),
    )


class OpenIncidents:
    """On the fleet page: how many incidents are open, per severity."""

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        if Right.READ_INCIDENTS not in rights_of_visitor(request):
            return None
        rows = visible(Incident.objects.all(), request.user, Right.READ_INCIDENTS)
        return Panel("Open incidents", "telemetry/_home_incidents.html", {"rows": open_by_severity(rows)})


class Search:
    """Incidents by title, subject or identifier, newest first."""

    def find(self, request: HttpRequest, text: str) -> list[Hit]:
        rows = visible(Incident.objects.order_by("-opened_at"), request.user, Right.READ_INCIDENTS)
        found = IncidentFilter(MultiValueDict({"q": [text]}), queryset=rows, request=request).qs[:20]
        return [
            Hit(row.title, "Incident", row.get_absolute_url(), f"{row.get_severity_display()}, {row.state}")
            for row in found
        ]


class _IncidentsOf:
    """On the page of an instance, version or agent: what went wrong with it, newest first."""

    field = ""
    shown = 5

    def panel(self, request: HttpRequest, subject: TenantRow) -> Panel | None:
        held = held_on(request.user, subject)
        if Right.READ_INCIDENTS not in held:
            return None
        rows = visible(Incident.objects.filter(**{self.field: subject}), request.user, Right.READ_INCIDENTS)
        page = f"{reverse('telemetry:incident_list')}?{self.field}={subject.typeid}"
        states = "".join(f"&state={state}" for state in IncidentState)
        newest = list(rows.order_by("-opened_at", "-pk")[: self.shown + 1])
        context = {
            "incidents": newest[: self.shown],
            "more": len(newest) > self.shown,
            "url": page + states,
            "open_url": "",
        }
        if Right.MANAGE_INCIDENT in held:
            context["open_url"] = f"{reverse('telemetry:incident_open')}?subject={subject.typeid}"
        return Panel("Incidents", "telemetry/_panel_incidents.html", context, anchor="incidents")


class InstanceIncidents(_IncidentsOf):
    field = "instance"


class VersionIncidents(_IncidentsOf):
    field = "version"


class TemplateIncidents(_IncidentsOf):
    field = "template"


class CardIncidents:
    """On an Agent Card: what went wrong with the version, by severity, and what of it is not settled."""

    name = "incidents"

    def section(self, version: AgentVersion) -> dict[str, Any]:
        states = Incident.objects.filter(version=version).values_list("severity", "state")
        counted = Counter((severity, state in LIVE) for severity, state in states)
        return {
            "open": {s.value: counted[s.value, True] for s in Severity if counted[s.value, True]},
            "settled": {s.value: counted[s.value, False] for s in Severity if counted[s.value, False]},
        }


class Activity:
    """On the page of an instance or version: its newest events, and how its last day went."""

    def panel(self, request: HttpRequest, subject: AgentInstance | AgentVersion) -> Panel | None:
        if Right.READ_TELEMETRY not in held_on(request.user, subject):
            return None
        seen = visible(Event.objects.for_list(), request.user, Right.READ_TELEMETRY)
        kind = "instance" if isinstance(subject, AgentInstance) else "version"
        url = f"{reverse('telemetry:event_list')}?{kind}={subject.typeid}"
        context = {"activity": activity(seen, subject), "url": url}
        return Panel("Last 24 hours", "telemetry/_panel_activity.html", context, anchor="activity")


class Health:
    """registry's port for rollouts: calls that fail, in percent, and incidents of the version that are open."""

    names = ("errors", "incidents")
    least = 5
    """Fewer units of work say nothing."""

    def facts(
        self,
        *,
        version: AgentVersion,
        slots: Sequence[DeploymentSlot],
        since: datetime,
        against: AgentVersion | None,
        limits: Mapping[str, float],
    ) -> list[Fact]:
        seen = doing(version=version, slots=slots, since=since)
        most = limits.get("incidents", 0.0)
        said = f"Open: {counted(seen.incidents, 'incident')} of {version}."
        if seen.incidents > most:
            incidents = Fact("incidents", seen.incidents, most, False, said)
        elif seen.calls < self.least:
            incidents = Fact("incidents", seen.incidents, most, None, "Too little work was seen to tell.")
        else:
            incidents = Fact("incidents", seen.incidents, most, True, said)
        return [self._errors(seen, limits.get("errors", 5.0)), incidents]

    def _errors(self, seen: Doing, limit: float) -> Fact:
        if seen.calls < self.least:
            said = f"Seen since the step began: {counted(seen.calls, 'call')}; it takes {self.least} to tell."
            return Fact("errors", None, limit, None, said)
        share = 100 * seen.errors / seen.calls
        said = f"{seen.errors} of {seen.calls} calls failed ({share:.1f} %; at most {limit:g} %)."
        return Fact("errors", share, limit, share <= limit, said)
