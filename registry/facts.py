"""What apps above know of a version at work: asked by rollouts before each step (settings.HEALTH_FACTS)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from arm.ports import implementations

from .engine import Fact
from .models import AgentVersion, DeploymentSlot


class HealthFacts(Protocol):
    """Port (settings.HEALTH_FACTS): what an app knows of how a version does in some slots since a moment."""

    names: Sequence[str]
    """The gates that it answers for; a rollout names which of them it asks."""

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
        are the rollout's own, by name."""
        ...


def health_gates() -> tuple[str, ...]:
    """Every gate that somebody answers for, in order."""
    ports: Sequence[HealthFacts] = implementations("HEALTH_FACTS")
    return tuple(name for port in ports for name in port.names)


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
