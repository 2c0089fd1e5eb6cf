"""What is asked of a version that was rolled back: it climbs no further, whatever state it was in."""

from ..lifecycle import VersionState
from ..models import AgentVersion
from . import TESTED_ON, Verdict


class NotRolledBack:
    """Before Testing, Candidate and Approved: no slot has been rolled back from it. One that was approved is deprecated
    by that; another one stays what it is, and can only be withdrawn."""

    name = "not rolled back"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        down = version.state == VersionState.CANDIDATE and to is VersionState.TESTING
        if to not in TESTED_ON or down:
            said = "Asked before Testing, Candidate and Approved only."
            return Verdict(self.name, True, said, applies=False)
        if version.rolled_back:
            said = f"{version} was rolled back: it climbs no further. Make a new version from it, and withdraw this one."
            return Verdict(self.name, False, said, f"{version.get_absolute_url()}#releases")
        return Verdict(self.name, True, "No slot was rolled back from it.", applies=False)
