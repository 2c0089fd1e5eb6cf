"""What was so at a past moment of the demo: who was at work, what stopped it, and how the engine answers there."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from arm.demo import Demo
from policy.engine import Approval, Count, Facts, InForce, Request, Verdict, evaluate
from policy.models import Posture
from policy.queries.standing import Agent, Rules, load_agents, load_rules, standing_stops
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceInterval

WORKS = InstanceState.ACTIVE


@dataclass(frozen=True, slots=True)
class Span:
    """An instance was in this state from then until then (None: it still is)."""

    state: str
    since: datetime
    until: datetime | None


class History:
    """The fleet over the demo's days, loaded once (the tenant must be set)."""

    def __init__(self, demo: Demo) -> None:
        self.now = demo.now
        rows = InstanceInterval.objects.filter(tenant=demo.tenant).order_by("since", "pk")
        self.spans: dict[UUID, list[Span]] = {}
        for row in rows:
            self.spans.setdefault(row.instance_id, []).append(Span(row.state, row.since, row.until))
        worked = [pk for pk, spans in self.spans.items() if any(span.state == WORKS for span in spans)]
        found = AgentInstance.objects.filter(pk__in=worked).select_related("version", "template", "tenant")
        self.instances = list(found.order_by("pk"))
        self.agents = load_agents(worked)
        self.rules: Rules = load_rules(demo.tenant.pk)
        self.stops = [
            (row.set_at, row.lifted_at, about, stop)
            for row, about, stop in standing_stops(Posture.objects.filter(tenant=demo.tenant))
        ]

    def began(self, instance: AgentInstance) -> datetime:
        """When it went to work for the first time."""
        return next(span.since for span in self.spans[instance.pk] if span.state == WORKS)

    def state(self, instance: AgentInstance, moment: datetime) -> str:
        """The last state it took until then; "" before it was there."""
        return next((s.state for s in reversed(self.spans[instance.pk]) if s.since <= moment), "")

    def at_work(self, instance: AgentInstance, moment: datetime, for_as_long_as: timedelta) -> bool:
        """Whether nothing stopped it from that moment on for so long (or until now)."""
        end = min(moment + for_as_long_as, self.now)
        whole = any(
            span.state == WORKS and span.since <= moment and (span.until is None or end <= span.until)
            for span in self.spans[instance.pk]
        )
        agent = self.agents[instance.pk]
        return whole and not any(
            agent.stands_below(about) and since <= end and (until is None or moment < until)
            for since, until, about, _ in self.stops
        )

    def judge(
        self, instance: AgentInstance, asked: Request, moment: datetime, approval: Approval | None = None
    ) -> Verdict:
        """The engine's answer then: under today's rules, in that moment's state, below that moment's stops."""
        agent = self.agent(instance, moment)
        rules = replace(self.rules, postures=self._stops(moment))
        envelope, at = rules.envelope_of(agent), moment.timestamp()
        facts = Facts(
            now=at,
            as_of=at,
            standing=rules.standing_of(agent),
            limits={key: Count(limit.most, at) for key, limit in envelope.limits.items()},
            loops={key: Count(1, at) for key in envelope.loops},
            approval=approval,
        )
        return evaluate(envelope, asked, facts)

    def agent(self, instance: AgentInstance, moment: datetime) -> Agent:
        """The instance as it stood then. Slots move on; a run that had begun in one went on."""
        return replace(self.agents[instance.pk], state=self.state(instance, moment), slot_id=None)

    def _stops(self, moment: datetime) -> list[tuple[dict[str, object], InForce]]:
        return [
            (about, stop)
            for since, until, about, stop in self.stops
            if since <= moment and (until is None or moment < until)
        ]
