"""What a version's policies leave of its tools, wherever it may run: asked of the engine that decides."""

from dataclasses import dataclass

from registry.models import AgentVersion, Environment

from ..engine import Action, Effect
from .simulation import as_if_provisioned, declared_tools
from .standing import Agent, Rules


@dataclass(frozen=True, slots=True)
class DeniedTool:
    """A tool that no call of can be allowed, or asked a person about, anywhere; `why` is the engine's first reason."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Tools:
    """Of the `total` tools of a genome, those that are denied in every case. `places`: environments in which some policy
    would hold; where there is none, nothing is known yet and nothing is denied."""

    total: int
    places: int
    denied: tuple[DeniedTool, ...]

    @property
    def none_left(self) -> bool:
        return bool(self.denied) and len(self.denied) == self.total


def tools_of(version: AgentVersion, rules: Rules) -> Tools:
    """Each tool of the genome under the policies that would hold for the version in each environment.

    Asked is what rules and tiers say whatever the arguments (`Envelope.ruling`), at the tool's own risk: arguments only
    ever raise it. Stops and limits come and go, and are not asked.
    """
    places = Environment.objects.filter(tenant=version.tenant_id).order_by("position")
    agents = [as_if_provisioned(version, place) for place in places]
    held = [agent for agent in agents if rules.policies_of(agent)]
    names = declared_tools(version)
    if not held:
        return Tools(len(names), 0, ())
    denied = []
    for name in names:
        answers = [_ruled(rules, agent, name) for agent in held]
        if all(answers):
            denied.append(DeniedTool(name, answers[0]))
    return Tools(len(names), len(held), tuple(denied))


def _ruled(rules: Rules, agent: Agent, name: str) -> str:
    """Why the tool is denied there; '' where it is allowed, or a person is asked."""
    envelope = rules.envelope_of(agent)
    if envelope.observe:
        return ""
    tool = rules.catalogue(agent.environment_id, agent.production, agent.genome_id).tool(name)
    ruling = envelope.ruling(Action.TOOL_CALL, name, tool.tool_class, tool.risk)
    if ruling.effect != Effect.DENY:
        return ""
    return ruling.reasons[0].sentence if ruling.reasons else "It is denied."
