"""What apps above know of the directory's rows: how a version does at work (settings.HEALTH_FACTS), what an instance may
spend (settings.ALLOWANCES), and what holds for it alone (settings.CARRIED_OVER)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from arm.errors import Problem
from arm.models import User
from arm.ports import implementation, implementations
from arm.rights import Right

from .engine import MANUAL, Fact
from .models import AgentInstance, AgentVersion, DeploymentSlot, RoleDefinition


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount for a day (UTC), in a currency of ISO 4217."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency} a day"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an instance may spend today: by its own limit, or by the nearest one above it (`of`). `left` is the least that
    any limit of that line leaves in this currency; below zero where it was passed."""

    granted: Decimal
    used: Decimal
    left: Decimal
    currency: str
    of: UUID
    own: bool


class Allowances(Protocol):
    """Port: who holds instances to what they may spend (implemented by costs)."""

    def seen(self, instances: Collection[UUID], actor: User) -> dict[UUID, Allowance]:
        """What each may spend today, as far as the actor reads the ledger there; who has no limit is not in it."""
        ...

    def refusals(self, parent: AgentInstance, budget: Budget, actor: User) -> list[Problem]:
        """Why a child of `parent` cannot be given this much: pointers into the request."""
        ...

    def may_grant(self, parent: AgentInstance, actor: User) -> bool:
        """Whether the actor may give any of it to a child of `parent`."""
        ...

    def grant(
        self, child: AgentInstance, parent: AgentInstance, budget: Budget, actor: User, reason: str
    ) -> None:
        """Effect, in the caller's transaction: the child is held to it from now on. Invalid where `refusals` says why."""
        ...

    def drawn_from(self, child: AgentInstance) -> str:
        """Whose limit a child without one of its own draws on, in words; "" where nobody above has one."""
        ...


def allowances() -> Allowances:
    port: Allowances = implementation("ALLOWANCES")
    return port


@dataclass(frozen=True, slots=True)
class Carry:
    """A rule of one instance that another has taken over: identifiers of the instances, of the rule and of its copy."""

    kind: str
    source: str
    rule: str
    target: str
    copy: str


Pairs = Sequence[tuple[AgentInstance, AgentInstance]]
"""Who is replaced, and by whom."""


class CarriedOver(Protocol):
    """Port (settings.CARRIED_OVER): an app that keeps rules for single instances. Their replacements work under the same."""

    kind: str

    def own(self, instances: Collection[UUID], actor: User | None = None) -> Mapping[UUID, Sequence[str]]:
        """What holds for each of them alone, in words; who has nothing is not in it. `actor`: as far as they may see it."""
        ...

    def seen(self, rules: Collection[UUID], actor: User) -> Collection[UUID]:
        """Those of these rules of its kind that the actor may see, whether they hold still or not."""
        ...

    def carry(self, pairs: Pairs, actor: User | None, reason: str) -> list[Carry]:
        """Effect, in the caller's transaction, with a record of each copy: the second of each pair is held to what the first
        is. What it has of its own already stays."""
        ...


def carried_over() -> Sequence[CarriedOver]:
    """Everybody who keeps such rules."""
    ports: Sequence[CarriedOver] = implementations("CARRIED_OVER")
    return ports


def carry_over(pairs: Pairs, actor: User | None, reason: str) -> list[Carry]:
    """Hold the second of each pair to what holds for the first alone."""
    return [made for port in carried_over() for made in port.carry(pairs, actor, reason)] if pairs else []


class HealthFacts(Protocol):
    """Port (settings.HEALTH_FACTS): what an app knows of how a version does in some slots since a moment."""

    names: Sequence[str]
    """The gates that it answers for; each step of a rollout names which of them it asks."""

    def facts(
        self,
        *,
        version: AgentVersion,
        slots: Sequence[DeploymentSlot],
        since: datetime,
        against: AgentVersion | None,
        limits: Mapping[str, float],
    ) -> Sequence[Fact]:
        """A fact for each of its names; `ok` None where it knows nothing. `against` is the version before; `limits`
        are the step's own, by name."""
        ...


def health_gates() -> tuple[str, ...]:
    """Every gate that somebody answers for, in order."""
    ports: Sequence[HealthFacts] = implementations("HEALTH_FACTS")
    return tuple(name for port in ports for name in port.names)


def known_gates() -> tuple[str, ...]:
    """Every gate that a step may name: those that somebody answers for, and a person's yes."""
    return (*health_gates(), MANUAL)


def health_facts(
    *,
    version: AgentVersion,
    slots: Sequence[DeploymentSlot],
    since: datetime,
    against: AgentVersion | None,
    limits: Mapping[str, float],
    wanted: Sequence[str],
) -> list[Fact]:
    """What every app that answers for a wanted gate knows."""
    ports: Sequence[HealthFacts] = implementations("HEALTH_FACTS")
    asked = [port for port in ports if set(port.names) & set(wanted)]
    found = [
        port.facts(version=version, slots=slots, since=since, against=against, limits=limits)
        for port in asked
    ]
    return [fact for facts in found for fact in facts if fact.name in wanted]


@dataclass(frozen=True, slots=True)
class RoleFact:
    """How a budget or an objective of a role is kept by its staff. `name` is the role's member; `value` and `limit` in
    `unit`; `ok` None where too little is known. `right`: what it takes to see it."""

    name: str
    value: Decimal | None
    limit: Decimal
    unit: str
    ok: bool | None
    sentence: str
    right: Right
    costs: bool = False


class RoleFacts(Protocol):
    """Port (settings.ROLE_FACTS): what an app knows of what a role's staff has spent, or how well it does."""

    def facts(self, role: RoleDefinition) -> Sequence[RoleFact]:
        """A fact for each budget or objective that the role has and this app answers for."""
        ...


def role_facts(role: RoleDefinition) -> list[RoleFact]:
    """What every app knows of the role's budgets and objectives."""
    ports: Sequence[RoleFacts] = implementations("ROLE_FACTS")
    return [fact for port in ports for fact in port.facts(role)]
