"""What-if: the decision function of every live decision, asked about an agent that may not run yet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from arm import clock
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, AgentVersion, Environment
from registry.queries import stored_document

from ..engine import (
    CATALOGUE,
    Action,
    Count,
    Effect,
    Envelope,
    Facts,
    Loop,
    Request,
    SpawnFacts,
    SpawnRequest,
    Verdict,
    evaluate,
    meet,
)
from ..models import PolicyVersion
from .decisions import Reason, explained
from .standing import Agent, Rules, compiled, load_agents, load_rules

NOBODY = UUID(int=0)
JOB = "simulated"


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What would be answered to a call of one tool without arguments."""

    tool: str
    declared: bool
    risk: str
    decision: str
    reasons: tuple[Reason, ...]
    obligations: tuple[str, ...]

    @property
    def why(self) -> str:
        return " ".join(reason.sentence for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class Simulation:
    """The answers, and what they were worked out from."""

    subject: AgentVersion | AgentInstance
    environment: Environment
    tried: PolicyVersion | None
    policies: tuple[PolicyVersion, ...]
    unpublished: int
    digest: str
    tier: int
    observe: bool
    answers: tuple[ToolAnswer, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Bench:
    """An agent and the rules it is held against: everything that one question after another is asked of."""

    subject: AgentVersion | AgentInstance
    environment: Environment
    agent: Agent
    rules: Rules
    envelope: Envelope
    tried: PolicyVersion | None
    bound: tuple[UUID, ...]


def bench(
    subject: AgentVersion | AgentInstance,
    *,
    environment: Environment | None,
    tried: PolicyVersion | None,
    alone: bool,
) -> Bench:
    """The subject where it runs (or in another environment), under what is bound, with `tried` in the place of its
    policy's active version; `alone` leaves out all that is bound."""
    rules = load_rules(subject.tenant_id)
    if isinstance(subject, AgentInstance):
        place = environment or subject.environment
        agent = load_agents([subject.pk])[subject.pk]
        if place.pk != subject.environment_id:
            agent = replace(agent, environment_id=place.pk, production=place.production)
    else:
        place = environment or Environment.objects.filter(tenant=subject.tenant_id).order_by("position")[0]
        agent = as_if_provisioned(subject, place)
    bound = () if alone else rules.policies_of(agent)
    documents = dict(rules.documents)
    if tried is not None:
        documents[tried.policy_id] = compiled(tried.digest, bytes(tried.content))
        bound = tuple(sorted({*bound, tried.policy_id}))
    published = [documents[policy] for policy in bound if policy in documents]
    complete = len(published) == len(bound) and (alone or all(map(rules.bound_to, agent.above)))
    envelope = meet(published).under(rules.ceilings_in(place.pk)) if complete else meet([])
    return Bench(subject, place, agent, rules, envelope, tried, bound)


def simulate(on: Bench, *, everything: bool) -> Simulation:
    """Every tool that the version declares, and with `everything` every tool of the catalogue."""
    declared = _declared(on.agent)
    names = [*declared, *(name for name in sorted(CATALOGUE) if everything and name not in declared)]
    asked = [(name, ask(on, name, {})) for name in names]
    told = _reasons(verdict for _, verdict in asked)
    answers = tuple(
        ToolAnswer(
            tool=name,
            declared=name in declared,
            risk=verdict.risk.word,
            decision=verdict.decision.word,
            reasons=reasons,
            obligations=verdict.obligations,
        )
        for (name, verdict), reasons in zip(asked, told, strict=True)
    )
    active = PolicyVersion.objects.active().filter(policy__in=on.bound).select_related("policy")
    versions = [row for row in active.defer("content") if not on.tried or row.policy_id != on.tried.policy_id]
    return Simulation(
        subject=on.subject,
        environment=on.environment,
        tried=on.tried,
        policies=(*versions, *([on.tried] if on.tried else [])),
        unpublished=len(on.bound) - len(versions) - bool(on.tried),
        digest=on.envelope.digest,
        tier=on.envelope.tier,
        observe=on.envelope.observe,
        answers=answers,
        counts={effect.word: sum(a.decision == effect.word for a in answers) for effect in Effect},
    )


def ask(on: Bench, tool: str, args: dict[str, Any], child: SpawnRequest | None = None) -> Verdict:
    """One call, as the agent would ask it: nothing used of any limit, no loop seen, no approval given."""
    now = clock.now().timestamp()
    envelope = on.envelope
    facts = Facts(
        now=now,
        as_of=now,
        standing=on.rules.standing_of(on.agent),
        limits={key: Count(limit.most, now) for key, limit in envelope.limits.items()},
        loops={key: Count(0 if key.rule == Loop.ERROR_STREAK else 1, now) for key in envelope.loops},
        spawn=SpawnFacts(on.agent.children, on.agent.children_last_hour, now),
    )
    return evaluate(envelope, Request(Action.TOOL_CALL, tool, args, job=JOB, spawn=child), facts)


def answer(on: Bench, tool: str, args: dict[str, Any]) -> tuple[Verdict, ToolAnswer]:
    """One call with its arguments: the verdict, and the same in words."""
    verdict = ask(on, tool, args)
    (reasons,) = _reasons([verdict])
    return verdict, ToolAnswer(
        tool=tool,
        declared=tool in _declared(on.agent),
        risk=verdict.risk.word,
        decision=verdict.decision.word,
        reasons=reasons,
        obligations=verdict.obligations,
    )


def _reasons(verdicts: Iterable[Verdict]) -> list[tuple[Reason, ...]]:
    """The reasons of several verdicts, their policy versions looked up together."""
    said = [
        [{"code": each.code, "sentence": each.sentence, "rule": each.rule} for each in verdict.reasons]
        for verdict in verdicts
    ]
    every, _ = explained(reason for reasons in said for reason in reasons)
    found = iter(every)
    return [tuple(next(found) for _ in reasons) for reasons in said]


def _declared(agent: Agent) -> tuple[str, ...]:
    return declared_tools(AgentVersion.objects.select_related("genome").get(pk=agent.version_id))


def declared_tools(version: AgentVersion) -> tuple[str, ...]:
    """The names of the tools of its genome, each once."""
    tools: Any = stored_document(version).get("tools") or ()
    return tuple(dict.fromkeys(str(tool["name"]) for tool in tools))


def as_if_provisioned(version: AgentVersion, place: Environment) -> Agent:
    """The version as if one active instance of it ran there."""
    return Agent(
        id=NOBODY,
        tenant_id=version.tenant_id,
        name=str(version),
        state=InstanceState.ACTIVE.value,
        version_id=version.pk,
        version_state=version.state,
        genome_id=version.genome_id,
        template_id=version.template_id,
        template_risk=version.template.risk,
        environment_id=place.pk,
        production=place.production,
        provider_id=NOBODY,
        role_id=None,
        slot_id=None,
        slot_takes=False,
        children=0,
        children_last_hour=0,
    )
