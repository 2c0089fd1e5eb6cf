"""What telemetry answers to the apps below it: incidents that their rules open, panels, navigation."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Count, Model, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.datastructures import MultiValueDict

from arm import clock
from arm.errors import Conflict, Invalid, Problem
from arm.models import Tenant, TenantRow, User
from arm.panels import Entry, Hit, Panel, rights_of_visitor
from arm.permissions import held_on, visible
from arm.rights import Right
from arm.words import counted
from registry.engine import Fact
from registry.facts import RoleFact
from registry.gates import Verdict
from registry.models import AgentInstance, AgentVersion, DeploymentSlot, RoleDefinition

from . import services
from .filters import IncidentFilter
from .lifecycle import LIVE, Detection, IncidentKind, IncidentState, Severity
from .models import Event, Incident, Job
from .queries import FEWEST, Doing, activity, doing, open_by_severity, staff_doing


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

    def standing(self, *, tenant_id: UUID, incident_id: UUID, hold: bool = False) -> str:
        """Its identifier and title."""
        rows = Incident.objects.held() if hold else Incident.objects.all()
        return _standing(incident_id, rows.filter(tenant=tenant_id, pk=incident_id).first())

    def standing_among(self, *, tenant_id: UUID, incident_ids: Collection[UUID]) -> dict[UUID, str]:
        known = Incident.objects.filter(tenant=tenant_id).in_bulk(list(incident_ids))
        found = {key: _standing(key, known.get(key)) for key in incident_ids}
        return {key: named for key, named in found.items() if named}

    def named(self, *, tenant_id: UUID, incident_id: UUID, actor: User) -> None:
        rows = Incident.objects.filter(tenant=tenant_id, pk=incident_id)
        if not any(
            visible(rows, actor, right).exists() for right in (Right.READ_INCIDENTS, Right.MANAGE_INCIDENT)
        ):
            said = "There is no such incident, or it is not yours to see."
            raise Invalid(said, [Problem(pointer="/incident", code="unknown", message=said)])
        incident = Incident.objects.held().get(pk=incident_id)
        if not incident.live:
            state = incident.get_state_display()
            raise Conflict(f"{incident.typeid} is {state}; reopen it if it came back, or name none.")


def _standing(key: UUID, incident: Incident | None) -> str:
    if incident is None:
        return str(key)
    return f"{incident.typeid} (“{incident}”)" if incident.live else ""


def _subject(tenant_id: UUID, kind: str, pk: UUID) -> Model | None:
    """The row of this tenant; None where the kind or the row does not exist."""
    models = {model._meta.label_lower: model for model in apps.get_models()}
    if kind not in models:
        return None
    wanted = {"pk": pk} if models[kind] is Tenant else {"pk": pk, "tenant_id": tenant_id}
    return models[kind]._default_manager.filter(**wanted).first()


EARLIER = timedelta(days=1)
"""An instance may name a job this long before ARM knew of the instance."""


HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class JobsInFlight:
    """`registry.gates.WorkInFlight`: jobs that an instance has named and of which no outcome was heard."""

    lately = HOUR
    """A job that nobody speaks of any longer does not hold an instance for ever."""

    def of(self, instances: Sequence[AgentInstance]) -> Mapping[UUID, Mapping[str, int]]:
        found = _open_jobs(instances, self.lately)
        return {key: {"jobs without an outcome": count} for key, count in found.items()}

    def ahead(self, instances: Sequence[AgentInstance]) -> None:
        """What `JobsLeft` asks as well, in one statement."""
        found = _counted_jobs(instances)
        for instance in instances:
            instance.open_jobs = found.get(instance.pk, {})  # type: ignore[attr-defined]


class JobsLeft:
    """`registry.gates.draining.Holds`: a job that nobody speaks of may be a long one, for a day."""

    lately = DAY

    def of(self, instances: Sequence[AgentInstance]) -> Mapping[UUID, Verdict]:
        return {key: _left(count) for key, count in _open_jobs(instances, self.lately).items()}


def _left(jobs: int) -> Verdict:
    said = f"{counted(jobs, 'job')} of it without an outcome {'was' if jobs == 1 else 'were'} heard of in the last day."
    return Verdict("no job left", False, said)


def _open_jobs(instances: Sequence[AgentInstance], lately: timedelta) -> dict[UUID, int]:
    """How many jobs each has named, however long ago, of which something was heard `lately` but no outcome."""
    if all(hasattr(instance, "open_jobs") for instance in instances):
        known = {instance.pk: instance.open_jobs for instance in instances}  # type: ignore[attr-defined]
    else:
        known = _counted_jobs(instances)
    return {key: counts[lately] for key, counts in known.items() if counts.get(lately)}


def _counted_jobs(instances: Sequence[AgentInstance]) -> dict[UUID, dict[timedelta, int]]:
    """The same, of the last hour and of the last day."""
    if not instances:
        return {}
    now = clock.now()
    jobs = Job.objects.filter(
        tenant__in={instance.tenant_id for instance in instances},
        reported_by_id__in=[instance.pk for instance in instances],
        outcome="",
        # What the index finds jobs by.
        first_seen_at__gte=min(instance.created_at for instance in instances) - EARLIER,
        last_seen_at__gt=now - DAY,
    )
    hour = Count("pk", filter=Q(last_seen_at__gt=now - HOUR))
    rows = jobs.order_by().values_list("reported_by_id").annotate(hour=hour, day=Count("pk"))
    return {key: {HOUR: within, DAY: all_} for key, within, all_ in rows}


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


class RoleObjectives:
    """registry's port for roles: how many of its staff's runs of the last 24 hours went well, and how long they took.

    Availability is not measured: what was heard of instances is kept as the last heartbeat only."""

    def facts(self, role: RoleDefinition) -> list[RoleFact]:
        if role.success_rate is None and role.latency_ms is None:
            return []
        seen = staff_doing(role)
        few = f"{counted(seen.runs, 'run')} in 24 hours; it takes {FEWEST} to tell."
        found = []
        if role.success_rate is not None:
            limit = role.success_rate
            rate = Decimal(100 * (seen.runs - seen.errors)) / seen.runs if seen.runs >= FEWEST else None
            said = few
            if rate is not None:
                said = (
                    f"{seen.runs - seen.errors} of {seen.runs} runs went well in 24 hours ({rate:.1f} %, at least"
                    f" {limit.normalize():f} %)."
                )
            ok = None if rate is None else rate >= limit
            found.append(RoleFact("success_rate", rate, limit, "%", ok, said, Right.READ_TELEMETRY))
        if role.latency_ms is not None:
            slow = seen.p95_ms if seen.runs >= FEWEST else None
            said = few
            if slow is not None:
                said = (
                    f"95 % of the runs took at most {slow:,} ms in 24 hours (at most {role.latency_ms:,} ms)."
                )
            ok = None if slow is None else slow <= role.latency_ms
            value = None if slow is None else Decimal(slow)
            limit = Decimal(role.latency_ms)
            found.append(RoleFact("latency_ms", value, limit, "ms", ok, said, Right.READ_TELEMETRY))
        return found
