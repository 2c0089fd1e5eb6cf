"""What was reported, and what went wrong."""

from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Model

from arm import clock
from arm.models import Tenant
from registry.models import AgentInstance, Environment, Provider
from telemetry.lifecycle import IncidentKind, Severity
from telemetry.models import Code, Event, Incident, Job, QuarantineCount, QuarantinedEvent
from telemetry.parsing import EventType, Status
from telemetry.services import open_incident, partitions

from .core import _n, as_the_owner
from .directory import instance


def incident(subject: Model | None = None, **kw: Any) -> Incident:
    """An open S2 about an instance, as a rule of ARM would open it."""
    defaults = {"kind": IncidentKind.DRIFT, "severity": Severity.S2, "title": f"Incident {next(_n)}"}
    return open_incident(subject=subject or instance(), actor=None, **(defaults | kw))


@as_the_owner()
def job(tenant: Tenant, key: str, reported_by: AgentInstance, **kw: Any) -> Job:
    """A job as an agent named it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT telemetry_job_id(%s, %s)", [tenant.pk, key])
        (id,) = cursor.fetchone()
    return Job.objects.create(id=id, tenant=tenant, key=key, reported_by_id=reported_by.pk, **kw)


@as_the_owner()
def event(of: AgentInstance | None = None, **kw: Any) -> Event:
    """A model call of an instance, just now, that went well; names are given as text."""
    runner = of or instance()
    at = kw.pop("occurred_at", None) or clock.now()
    partitions.ensure([at.date()])
    for name in (
        "model_provider",
        "model_requested",
        "model_used",
        "tool",
        "error",
        "cost_center",
        "outcome",
    ):
        if isinstance(kw.get(name), str):
            kw[name] = code(kw[name], runner.tenant)
    number = next(_n)
    key = int(at.timestamp() * 1000) << 80 | 0x8 << 76 | 0b10 << 62 | number
    defaults = {
        "type": EventType.MODEL_CALL,
        "status": Status.OK,
        "flags": 0,
        "mapper_version": 1,
        "received_at": at,
        "trace_id": UUID(int=number),
        "span_id": number,
    }
    return Event.objects.create(
        event_id=UUID(int=key),
        occurred_at=at,
        tenant=runner.tenant,
        provider=runner.provider,
        environment=runner.environment,
        template=runner.template,
        version=runner.version,
        instance=runner,
        **(defaults | kw),
    )


def code(text: str, of: Tenant) -> Code:
    """The number of a name."""
    return Code.objects.get_or_create(tenant=of, text=text)[0]


@as_the_owner()
def quarantined(environment: Environment, provider: Provider, **kw: Any) -> QuarantinedEvent:
    """A span that named no instance, and its count."""
    defaults = {"reason": "no_instance", "detail": "The span names no instance.", "received_at": clock.now()}
    row = QuarantinedEvent.objects.create(
        tenant=environment.tenant, environment=environment, provider=provider, **(defaults | kw)
    )
    QuarantineCount.objects.create(
        tenant=environment.tenant,
        environment=environment,
        provider=provider,
        reason=row.reason,
        day=clock.today(),
        spans=1,
    )
    return row
