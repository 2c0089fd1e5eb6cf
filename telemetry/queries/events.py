"""What the pages show of events: a trace as a tree, error rates, and the quarantine by reason."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from arm import clock
from registry.models import AgentInstance, AgentVersion

from ..models import Event, QuarantineCount
from ..parsing import Reason, Status

TRACE_WITHIN = timedelta(hours=1)
SPANS = 500
QUARANTINE_DAYS = 7
WAYS_OUT = {
    Reason.NO_INSTANCE: "Set OTEL_RESOURCE_ATTRIBUTES to arm.instance.id=ins_…,arm.version.id=ver_… in the runtime.",
    Reason.NO_VERSION: "Add arm.version.id=ver_… to OTEL_RESOURCE_ATTRIBUTES in the runtime.",
    Reason.UNKNOWN_INSTANCE: "Provision the instance, or correct the identifier that the runtime sends.",
    Reason.FOREIGN_TENANT: "The instance belongs to another provider or environment than the key; use the right key.",
    Reason.UNBOUND_VERSION: "The instance did not run this version then; correct the identifier, or bind the version.",
    Reason.CLOCK: "Correct the clock of the runtime; times in the future or past retention are not stored.",
    Reason.UNDECODABLE: "The span has no usable identifiers or times; look at its payload and at the exporter's version.",
}


@dataclass(frozen=True, slots=True)
class Span:
    """An event in its trace: how deep it is nested, and when it began after the first one, in milliseconds."""

    event: Event
    depth: int
    after_ms: int
    indent: range = field(default_factory=lambda: range(0))


@dataclass(frozen=True, slots=True)
class ReasonCount:
    reason: str
    label: str
    spans: int
    today: int
    way_out: str


@dataclass(frozen=True, slots=True)
class Activity:
    """The newest events of a subject and how the last day went."""

    newest: list[Event]
    events: int
    errors: int
    denied: int


def told_by(key: UUID) -> datetime:
    """The moment that a stream's key begins with (48 bits of milliseconds)."""
    return datetime.fromtimestamp((key.int >> 80) / 1000, UTC)


def trace_of(event: Event, seen: QuerySet[Event]) -> list[Span]:
    """The events of the same trace at the same instance within an hour, parents before children."""
    rows = list(
        seen.filter(
            instance=event.instance_id,
            trace_id=event.trace_id,
            occurred_at__gte=event.occurred_at - TRACE_WITHIN,
            occurred_at__lte=event.occurred_at + TRACE_WITHIN,
        ).order_by("occurred_at", "event_id")[:SPANS]
    )
    children: dict[int | None, list[Event]] = {}
    known = {row.span_id for row in rows}
    for row in rows:
        parent = row.parent_span_id if row.parent_span_id in known else None
        children.setdefault(parent, []).append(row)
    first = rows[0].occurred_at if rows else event.occurred_at
    found: list[Span] = []
    waiting = [(row, 0) for row in reversed(children.get(None, []))]
    while waiting:
        row, depth = waiting.pop()
        after = round((row.occurred_at - first).total_seconds() * 1000)
        found.append(Span(row, depth, after, range(depth)))
        below = children.pop(row.span_id, [])  # popped: a span that names itself its parent ends here
        waiting += [(child, depth + 1) for child in reversed(below)]
    return found


def quarantined_by_reason(counts: QuerySet[QuarantineCount]) -> list[ReasonCount]:
    """How many spans each reason holds back, in the last seven days and today; reasons without any come last."""
    today = clock.today()
    rows = (
        counts.filter(day__gt=today - timedelta(days=QUARANTINE_DAYS))
        .order_by()
        .values_list("reason")
        .annotate(week=Sum("spans"), now=Sum("spans", filter=Q(day=today), default=0))
    )
    summed = {reason: (spans, now) for reason, spans, now in rows}
    found = []
    for reason in Reason:
        spans, now = summed.get(reason.value, (0, 0))
        label = reason.value.replace("_", " ").capitalize()
        found.append(ReasonCount(reason.value, label, spans, now, WAYS_OUT[reason]))
    return sorted(found, key=lambda one: -one.spans)


def way_out(reason: str) -> str:
    """What to do about a span that is held back for this reason."""
    return WAYS_OUT[Reason(reason)]


def activity(seen: QuerySet[Event], subject: AgentInstance | AgentVersion, newest: int = 8) -> Activity:
    """The last day of an instance, or of the instances of a version."""
    since = clock.now() - timedelta(days=1)
    rows = seen.filter(occurred_at__gte=since, occurred_at__lt=clock.now() + timedelta(minutes=15))
    if isinstance(subject, AgentVersion):
        # Events are indexed by instance: those of the version are few, its events are not.
        instances = list(AgentInstance.objects.filter(version=subject).values_list("pk", flat=True))
        rows = rows.filter(instance__in=instances, version=subject)
    else:
        rows = rows.filter(instance=subject)
    counted: dict[str, Any] = rows.order_by().aggregate(
        events=Count("event_id"),
        errors=Count("event_id", filter=Q(status=Status.ERROR)),
        denied=Count("event_id", filter=Q(status=Status.DENIED)),
    )
    return Activity(newest=list(_newest(rows, newest)), **counted)


def _newest(rows: QuerySet[Event], number: int) -> Iterable[Event]:
    return rows.order_by("-event_id")[:number]
