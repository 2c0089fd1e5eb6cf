"""What a rollback asks of the version that it returns to. The version stood there before and is approved still; what was
asked of it then is asked again, to be told, and holds nobody up while harm is done (ADR 43)."""

from collections.abc import Iterable, Sequence

from ..models import AgentVersion, DeploymentSlot
from . import GenomeIntact, Verdict, VersionMayBeBound, for_binding

POLICY_BOUND = "policy bound"
NEEDED = (VersionMayBeBound.name, GenomeIntact.name, POLICY_BOUND)
"""The gates of a binding without which nothing is bound, even to end harm."""


def for_return(slot: DeploymentSlot, target: AgentVersion) -> tuple[list[Verdict], list[Verdict]]:
    """Every gate of a binding is asked: (those that a return needs, those that it only says), whatever they answer."""
    asked = for_binding(slot, target)
    needed = [verdict for verdict in asked if verdict.gate in NEEDED]
    return needed, [verdict for verdict in asked if verdict.gate not in NEEDED]


def warned(verdicts: Iterable[Verdict]) -> list[dict[str, str]]:
    """Those that do not pass, as a record and a dossier keep them."""
    return [{"gate": one.gate, "reason": one.reason} for one in verdicts if not one.passed]


def warnings_of(slot: DeploymentSlot, target: AgentVersion) -> Sequence[dict[str, str]]:
    """All that does not pass for a version that a slot returns to without being asked: the end of a rollout."""
    return warned(for_binding(slot, target))
