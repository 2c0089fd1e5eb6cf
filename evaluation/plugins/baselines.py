"""The gate that holds a version against its agent's baseline."""

from registry.gates import Verdict
from registry.lifecycle import VersionState
from registry.models import AgentVersion

from ..queries.baselines import against_baselines


class NotWorse:
    """Testing → Candidate: no mandatory suite came out worse on this genome than at its baseline, beyond the suite's
    tolerance. Where there is no baseline yet, it passes and says so."""

    name = "not worse than the baseline"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to is not VersionState.CANDIDATE:
            return Verdict(self.name, True, "Asked before Candidate only.", applies=False)
        found = [one for one in against_baselines(version) if one.standing.assignment.mandatory]
        if worse := [one for one in found if one.worse]:
            said = " ".join(one.sentence for one in worse)
            run = worse[0].standing.run
            return Verdict(self.name, False, said, run.get_absolute_url() if run else "")
        if not any(one.baseline for one in found):
            return Verdict(
                self.name, True, "There is no baseline yet; the first approved version will be one."
            )
        return Verdict(self.name, True, " ".join(one.sentence for one in found))
