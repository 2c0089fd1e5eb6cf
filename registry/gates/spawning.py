"""What apps above say of an instance that is about to start another."""

from collections.abc import Sequence
from typing import Protocol

from arm.ports import implementations

from ..models import AgentInstance, RoleDefinition


class SpawnRules(Protocol):
    """Port (settings.SPAWN_RULES): what an app above knows that stands in the way of a child."""

    def refusals(
        self, parent: AgentInstance, role: RoleDefinition | None, *, itself: bool
    ) -> Sequence[tuple[str, str]]:
        """Code and sentence of everything. `role`: what the child would do; `itself`: the parent asks, nobody for it."""
        ...


def refusals(parent: AgentInstance, role: RoleDefinition | None, *, itself: bool) -> list[tuple[str, str]]:
    ports: Sequence[SpawnRules] = implementations("SPAWN_RULES")
    return [said for port in ports for said in port.refusals(parent, role, itself=itself)]
