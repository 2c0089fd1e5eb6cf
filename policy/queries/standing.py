"""What holds for an agent: the rules of its tenant, its own facts, and from both its envelope and its standing."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from arm import clock, ids
from arm.rights import Risk as AgentRisk
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, Genome
from registry.queries.spawn import lines_above

from ..engine import (
    Catalogue,
    Envelope,
    InForce,
    Mode,
    Overlay,
    Risk,
    SpawnFacts,
    Standing,
    TierOverlay,
    ToolClass,
    compile_envelope,
    meet,
)
from ..models import Binding, PolicyVersion, Posture, TenantPolicy, ToolRisk

S = TypeVar("S")
RISKS = {risk.word: risk for risk in Risk}
_HOUR = timedelta(hours=1)
WHERE = ("environment", "role", "template", "version", "slot", "instance", "provider")


@dataclass(frozen=True, slots=True)
class Agent:
    """One instance with what it stands below. Every id that a binding or posture may name is here."""

    id: UUID
    tenant_id: UUID
    name: str
    state: str
    version_id: UUID
    version_state: str
    genome_id: UUID
    template_id: UUID
    template_risk: str
    environment_id: UUID
    production: bool
    provider_id: UUID
    role_id: UUID | None
    slot_id: UUID | None
    slot_takes: bool
    """Whether the slot has a place for the version: bound to it, as its canary, or until it is replaced."""
    children: int
    children_last_hour: int
    above: "tuple[Agent, ...]" = ()
    """Who started it, and who started that one, the nearest first: it may do nothing that they may not."""

    @property
    def typeid(self) -> str:
        return ids.encode("ins", self.id)

    def stands_below(self, row: Mapping[str, Any]) -> bool:
        """Whether a binding or posture (as a row of its target columns) is about this agent."""
        if row["whole_tenant"]:
            return True
        return any(
            row.get(f"{name}_id") is not None
            and row[f"{name}_id"] == (self.id if name == "instance" else getattr(self, f"{name}_id"))
            for name in WHERE
        )


@dataclass(slots=True)
class Rules:
    """Everything of one tenant that decides: loaded together, shared by all of its agents."""

    tenant_id: UUID
    bindings: list[dict[str, Any]]
    postures: list[tuple[dict[str, Any], InForce]]
    documents: dict[UUID, Envelope]
    overlays: dict[UUID | None, tuple[Overlay, ...]]
    """By the environment where they count; None: everywhere."""
    ceilings: dict[UUID | None, tuple[TierOverlay, ...]]
    outcome_required: bool
    default: UUID | None = None
    """The policy that holds for an agent to which none is bound."""
    _envelopes: dict[tuple[UUID | None, tuple[UUID, ...]], Envelope] = field(default_factory=dict)
    _catalogues: dict[tuple[UUID | None, bool, UUID], Catalogue] = field(default_factory=dict)

    def bound_to(self, agent: Agent) -> tuple[UUID, ...]:
        """The policies bound to this agent or anything above it; where there is none, the tenant's default."""
        bound = {row["policy_id"] for row in self.bindings if agent.stands_below(row)}
        return tuple(sorted(bound or ({self.default} if self.default else set())))

    def policies_of(self, agent: Agent) -> tuple[UUID, ...]:
        """All policies that it is held to: its own, and those of who started it. Empty where one of these has none: what
        the one above may not do, nobody does on its behalf."""
        each = [self.bound_to(one) for one in (agent, *agent.above)]
        return tuple(sorted({policy for found in each for policy in found})) if all(each) else ()

    def envelope_of(self, agent: Agent) -> Envelope:
        """All policies that reach the agent, combined. A bound policy without an active version allows nothing."""
        policies = self.policies_of(agent)
        place = agent.environment_id if agent.environment_id in self.ceilings else None
        found = self._envelopes.get((place, policies))
        if found is None:
            bound = [self.documents[policy] for policy in policies if policy in self.documents]
            whole = len(bound) == len(policies)
            found = meet(bound).under(self.ceilings_in(agent.environment_id)) if whole else meet([])
            self._envelopes[place, policies] = found
        return found

    def ceilings_in(self, environment_id: UUID) -> tuple[TierOverlay, ...]:
        return (*self.ceilings.get(None, ()), *self.ceilings.get(environment_id, ()))

    def standing_of(self, agent: Agent) -> Standing:
        """What posture, state, version and slot say about the agent now."""
        slot = "none"
        if agent.slot_id is not None:
            slot = "bound" if agent.slot_takes else "rebound"
        strict = agent.production or agent.template_risk in (AgentRisk.HIGH, AgentRisk.CRITICAL)
        return Standing(
            instance=agent.typeid,
            state=agent.state,
            catalogue=self.catalogue(agent.environment_id, agent.production, agent.genome_id),
            version=agent.version_state,
            slot=slot,
            certification="not_required",
            unapproved_versions=not strict,
            postures=[stop for row, stop in self.postures if agent.stands_below(row)],
            outcome_required=self.outcome_required,
        )

    def catalogue(self, environment_id: UUID, production: bool, genome_id: UUID) -> Catalogue:
        """Environments without entries of their own share one."""
        local = self.overlays.get(environment_id, ())
        key = (environment_id if local else None, production, genome_id)
        found = self._catalogues.get(key)
        if found is None:
            overlays = (*self.overlays.get(None, ()), *local)
            found = Catalogue(production=production, overlays=overlays, manifest=manifest(genome_id))
            self._catalogues[key] = found
        return found

    @property
    def holds_until(self) -> float | None:
        """When the first posture ends by itself (seconds); None where none does."""
        return min((stop.until for _, stop in self.postures if stop.until is not None), default=None)

    def spawned(self, agent: Agent, as_of: float) -> SpawnFacts:
        return SpawnFacts(agent.children, agent.children_last_hour, as_of)


def load_rules(tenant_id: UUID) -> Rules:
    """The tenant's rules as they are now, in six queries (the tenant must be set)."""
    bindings = Binding.objects.in_force().filter(tenant_id=tenant_id)
    postures = Posture.objects.in_force().filter(tenant_id=tenant_id)
    columns = [f"{name}_id" for name in WHERE]
    active = PolicyVersion.objects.active().filter(tenant_id=tenant_id)
    entries = list(ToolRisk.objects.filter(tenant_id=tenant_id, until=None))
    said = TenantPolicy.objects.filter(tenant_id=tenant_id).values_list("outcome", "default_policy").first()
    outcome, default = said or ("", None)
    return Rules(
        tenant_id=tenant_id,
        bindings=list(bindings.values("policy_id", "whole_tenant", *columns[:-1])),
        postures=[(row, stop) for _, row, stop in standing_stops(postures)],
        documents={
            policy: compiled(digest, bytes(content))
            for policy, digest, content in active.values_list("policy_id", "digest", "content")
        },
        overlays=_by_place(
            (entry, Overlay(entry.tool, RISKS[entry.risk], ToolClass(entry.tool_class or "unknown")))
            for entry in entries
            if entry.risk
        ),
        ceilings=_by_place(
            (entry, TierOverlay(entry.tool, entry.ceiling)) for entry in entries if entry.ceiling is not None
        ),
        outcome_required=outcome != TenantPolicy.Outcome.WARN,
        default=default,
    )


def _by_place(said: Iterable[tuple[ToolRisk, S]]) -> dict[UUID | None, tuple[S, ...]]:
    found: dict[UUID | None, tuple[S, ...]] = {}
    for entry, one in said:
        found[entry.environment_id] = (*found.get(entry.environment_id, ()), one)
    return found


def standing_stops(postures: QuerySet[Posture]) -> list[tuple[Posture, dict[str, Any], InForce]]:
    """Each posture, newest first, with what it is about (its target columns) and what it stops."""
    rows = postures.select_related(
        "tenant", "environment", "role", "template", "version__template", "slot__role", "slot__environment",
        "instance", "provider",
    )  # fmt: skip
    columns = [f"{name}_id" for name in WHERE]
    return [
        (
            row,
            {"whole_tenant": row.whole_tenant, **{name: getattr(row, name) for name in columns}},
            _in_force(row),
        )
        for row in rows.order_by("-set_at")
    ]


def load_agents(instance_ids: Iterable[UUID]) -> dict[UUID, Agent]:
    """The agents that exist in the tenants in sight, in two queries; in two more where somebody has started them."""
    wanted = list(instance_ids)
    found, started = _agents(wanted)
    if not started:
        return found
    lines = lines_above(started)
    over, _ = _agents({key for line in lines.values() for key in line} - found.keys())
    over |= found
    for child, line in lines.items():
        found[child] = replace(found[child], above=tuple(over[key] for key in line))
    return found


def _agents(wanted: Collection[UUID]) -> tuple[dict[UUID, Agent], list[UUID]]:
    """The agents, and which of them were started by another."""
    hour_ago = clock.now() - _HOUR
    placed: Any = AgentInstance.objects.with_slot().filter(pk__in=wanted)
    rows = placed.values_list(
        "id", "tenant_id", "name", "state", "version_id", "version__state", "version__genome_id", "template_id",
        "template__risk", "environment_id", "environment__production", "provider_id", "role_id", "slot_id",
        "slot_takes", "parent_id",
    )  # fmt: skip
    living, new = (
        ~Q(state=InstanceState.RETIRED),
        Q(created_at__gte=hour_ago),
    )  # retiring one makes no room in the hour
    counted = (
        AgentInstance.objects.filter(living | new, parent__in=wanted)
        .order_by()
        .values("parent_id")
        .annotate(all=Count("pk", filter=living), new=Count("pk", filter=new))
    )
    children = {row["parent_id"]: (row["all"], row["new"]) for row in counted}
    known: list[tuple[Any, ...]] = [(*row, *children.get(row[0], (0, 0))) for row in rows]
    started = [facts[0] for facts in known if facts[-3] is not None]
    return {facts[0]: Agent(*facts[:-3], *facts[-2:]) for facts in known}, started


@lru_cache(maxsize=512)
def compiled(digest: str, content: bytes) -> Envelope:
    """A policy version, compiled once per process: its digest names its bytes."""
    return compile_envelope(json.loads(content))


@lru_cache(maxsize=2048)
def manifest(genome_id: UUID) -> Mapping[str, Risk]:
    """The classes that a genome's tool manifest declares. A genome never changes, so neither does the answer."""
    content = Genome.objects.filter(pk=genome_id).values_list("content", flat=True).first()
    if content is None:
        raise LookupError(f"There is no genome {genome_id} in sight.")
    tools = json.loads(bytes(cast(bytes, content))).get("tools", ())
    return {
        tool["name"]: RISKS[tool["risk"].lower()] for tool in tools if tool.get("risk", "").lower() in RISKS
    }


def _in_force(row: Posture) -> InForce:
    kind = row.target_kind
    scope = "This agent" if kind == "instance" else f"{kind.capitalize()} {row.target}"
    if row.tool or row.tool_class:
        scope += f" ({row.tool or row.tool_class})"
    return InForce(
        id=row.typeid,
        mode=Mode(row.mode),
        scope=scope,
        reason=row.reason,
        tool=row.tool,
        tool_class=row.tool_class,
        until=row.until.timestamp() if row.until else None,
    )
