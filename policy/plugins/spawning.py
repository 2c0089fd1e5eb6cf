"""Stops and policies, asked before an instance starts another."""

from registry.models import AgentInstance, RoleDefinition

from ..engine import Effect, SpawnRequest
from ..engine.posture import MATRIX, Mode, may_spawn
from ..engine.risk import ToolClass
from ..models import Posture
from ..queries.simulation import ask, bench
from ..queries.stops import reaching

SPAWNS = "spawn_agent"
"""The catalogue's name of a tool that starts another agent."""


class SpawnRules:
    """`registry.gates.spawning.SpawnRules`: nothing is started below a stop, whoever asks; what an agent starts by itself
    its policies must let it start: the decision about the tool that spawns, with nothing used of limits and no approval. A
    person is held to rights, not to the policies of an agent."""

    def refusals(
        self, parent: AgentInstance, role: RoleDefinition | None, *, itself: bool
    ) -> list[tuple[str, str]]:
        found = [
            ("stopped", f"A stop stands above it ({stop}): nothing is started below it.")
            for stop in reaching(parent)
            if _stops(stop, itself)
        ]
        if not itself:
            return found
        on = bench(parent, environment=None, tried=None, alone=False)
        child = SpawnRequest(depth=parent.depth + 1, role=role.slug if role else None)
        verdict = ask(on, SPAWNS, {}, child)
        if found or verdict.decision == Effect.ALLOW:
            return found
        return [(reason.code, reason.sentence) for reason in verdict.reasons]


def _stops(stop: Posture, itself: bool) -> bool:
    if stop.tool:
        return False  # a tool of this name, whatever it does
    if stop.tool_class:
        return itself and stop.tool_class == ToolClass.SPAWN
    return not may_spawn(MATRIX[Mode(stop.mode)])
