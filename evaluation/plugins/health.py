"""What evaluation knows of how a version does at work."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from registry.engine import Fact
from registry.models import AgentVersion, DeploymentSlot

from .. import queries
from ..lifecycle import RunState


class Health:
    """registry's port for rollouts: the newest run of each mandatory suite on this genome has not failed."""

    names = ("evaluation",)

    def facts(
        self,
        *,
        version: AgentVersion,
        slots: Sequence[DeploymentSlot],
        since: datetime,
        against: AgentVersion | None,
        limits: Mapping[str, float],
    ) -> list[Fact]:
        asked = [one for one in queries.standings(version) if one.assignment.mandatory]
        failed = [one for one in asked if one.state in (RunState.FAILED, RunState.ERRORED)]
        if failed:
            said = " ".join(one.sentence for one in failed)
            return [Fact("evaluation", len(failed), 0, False, said)]
        waiting = [one for one in asked if not one.passed]
        if waiting or not asked:
            said = " ".join(one.sentence for one in waiting) or "No mandatory suite is assigned to the agent."
            return [Fact("evaluation", None, 0, None, said)]
        return [Fact("evaluation", 0, 0, True, f"All {len(asked)} mandatory suites passed on this genome.")]
