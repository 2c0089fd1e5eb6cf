"""How certain it is what a provider's instances are."""

from collections.abc import Sequence
from uuid import UUID

from registry.lifecycle import InstanceState
from registry.models import AgentInstance, Provider

from ..models import Desired, InstanceReport
from ..protocol.states import TO_DIRECTORY, RunState


def certainties(instances: Sequence[AgentInstance]) -> dict[UUID, str]:
    """For instances of federated providers: `attested` where the provider has proven what is wanted now, `reported`
    where it only says so; where a stop above the instance is to hold it, that is said as well, and whether it does."""
    federated = [row.pk for row in instances if row.provider.kind == Provider.Kind.FEDERATED]
    if not federated:
        return {}
    desired = {row.instance_id: row for row in Desired.objects.filter(instance__in=federated)}
    reports = InstanceReport.objects.filter(instance__in=federated).select_related("instance")
    return {
        row.instance_id: _word(row, desired[row.instance_id], row.instance)
        for row in reports
        if row.instance_id in desired and row.instance is not None and row.instance_id is not None
    }


def _word(report: InstanceReport, desired: Desired, instance: AgentInstance) -> str:
    proven = report.attested_generation == desired.generation and report.state == desired.run_state
    above = bool(desired.run_state) and TO_DIRECTORY[RunState(desired.run_state)] != instance.state
    if above and instance.state != InstanceState.PROVISIONING:
        return f"{desired.run_state} by a stop, {'attested' if proven else 'not proven'}"
    return "attested" if proven else "reported"
