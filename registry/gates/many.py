"""Gates of bindings that answer for many slots at once: a list asks each of them once."""

from collections.abc import Sequence
from typing import Protocol

from arm.ports import implementations

from ..models import AgentVersion, DeploymentSlot
from . import BindingGate, Verdict

Pairs = Sequence[tuple[DeploymentSlot, AgentVersion]]
"""What is asked of a gate of bindings about many: each slot with the version that it would be bound to."""


class BindingsGate(BindingGate, Protocol):
    """One that asks the database once about many; `check` is the same of one."""

    def check_all(self, pairs: Pairs) -> Sequence[Verdict]:
        """A verdict for each, in order."""
        ...


class OneOfMany:
    """`check` of a gate that answers for many at once."""

    def check(self: BindingsGate, slot: DeploymentSlot, version: AgentVersion) -> Verdict:
        (verdict,) = self.check_all([(slot, version)])
        return verdict


def for_bindings(pairs: Pairs) -> list[list[Verdict]]:
    """`for_binding` of many: each gate is asked once about all of them, where it can be."""
    found: list[list[Verdict]] = [[] for _ in pairs]
    for gate in implementations("BINDING_GATES"):
        many = hasattr(gate, "check_all")
        answers = gate.check_all(pairs) if many else [gate.check(slot, version) for slot, version in pairs]
        for verdicts, verdict in zip(found, answers, strict=True):
            verdicts.append(verdict)
    return found
