"""What is asked before a version is retired for good."""

from datetime import timedelta

from arm import clock

from ..lifecycle import InstanceState, VersionState
from ..models import AgentInstance, AgentVersion
from . import Verdict


class RetentionSatisfied:
    """Deprecated → Retired: the raw telemetry of all that ran it has been kept as long as its environments say."""

    name = "retention satisfied"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to is not VersionState.RETIRED or version.state != VersionState.DEPRECATED:
            return Verdict(
                self.name, True, "Asked of deprecated versions before retirement only.", applies=False
            )
        ended = AgentInstance.objects.filter(version=version, state=InstanceState.RETIRED)
        until = max(
            (
                since + timedelta(days=days)
                for since, days in ended.values_list("state_since", "environment__retention_days")
            ),
            default=None,
        )
        if until is not None and until > clock.now():
            said = f"Telemetry of what ran it is kept until {until:%Y-%m-%d}; until then it stays open to questions."
            return Verdict(self.name, False, said)
        return Verdict(self.name, True, "Nothing of what ran it has to be kept any more.")
