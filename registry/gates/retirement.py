"""What is asked before a version is retired for good."""

from datetime import timedelta

from django.db.models import Q
from django.urls import reverse

from arm import clock
from arm.words import counted

from ..lifecycle import InstanceState, VersionState
from ..models import AgentInstance, AgentVersion, DeploymentSlot, RolloutSlot
from . import Verdict


class NoLiveInstance:
    """Deprecated → Retired: nothing runs it any more, and no slot would start it."""

    name = "nothing runs it"

    def check(self, version: AgentVersion, to: VersionState) -> Verdict:
        if to is not VersionState.RETIRED:
            return Verdict(self.name, True, "Asked before retirement only.", applies=False)
        live = AgentInstance.objects.filter(version=version).live().count()
        waits = RolloutSlot.objects.filter(held=True, from_version=version).values("slot")  # if it is aborted
        slots = DeploymentSlot.objects.filter(Q(current_version=version) | Q(pk__in=waits)).count()
        if live or slots:
            rows = reverse(f"registry:{'instance' if live else 'slot'}_list")
            said = f"{counted(live, 'instance')} still at work with it, {counted(slots, 'slot')} bound to it."
            return Verdict(self.name, False, said, f"{rows}?version={version.typeid}")
        return Verdict(self.name, True, "No instance runs it and no slot is bound to it.")


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
