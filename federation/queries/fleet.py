"""How certain it is what a provider's instances are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, JSONObject

from registry.lifecycle import InstanceState
from registry.models import AgentInstance, Provider

from ..models import Command, Desired, InstanceReport
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


def in_flight(instances: Sequence[AgentInstance]) -> dict[UUID, int]:
    """How much work each has in it, as its provider said last: in an inventory, or of a command it was at. Those of which
    nothing was ever said are left out. Of rows that `with_in_flight` has read nothing is asked."""
    federated = {row.pk: row for row in instances if row.provider.kind == Provider.Kind.FEDERATED}
    if not federated:
        return {}
    if all(hasattr(row, "said_of_command") for row in federated.values()):
        words = [
            (datetime.fromisoformat(said["at"]), key, said["in_flight"])
            for key, row in federated.items()
            for said in (row.said_of_command, row.said_in_report)  # type: ignore[attr-defined]
            if said
        ]
    else:
        of_these = Q(instance__in=list(federated))
        commands = _commands().filter(of_these).order_by().values_list("said_at", "instance", "in_flight")
        reports = _reports().filter(of_these).order_by().values_list("said_at", "instance", "in_flight")
        words = list(commands.union(reports, all=True))
    return {instance: number or 0 for _, instance, number in sorted(words)}


def with_in_flight(rows: QuerySet[AgentInstance]) -> QuerySet[AgentInstance]:
    """Rows with the last words of their providers, for `in_flight`."""
    word = JSONObject(at="said_at", in_flight="in_flight")
    commands, reports = (
        found.filter(instance=OuterRef("pk")).order_by("-said_at", "-in_flight").values(word=word)[:1]
        for found in (_commands(), _reports())
    )
    return rows.annotate(said_of_command=Subquery(commands), said_in_report=Subquery(reports))


def _commands() -> QuerySet[Any]:
    at = Coalesce("in_flight_at", "finished_at", "applying_at")  # older commands have no moment of it
    return Command.objects.filter(in_flight__isnull=False).annotate(said_at=at).exclude(said_at=None)


def _reports() -> QuerySet[Any]:
    rows = InstanceReport.objects.filter(in_flight__isnull=False).exclude(in_flight_at=None)
    return rows.annotate(said_at=F("in_flight_at"))


def _word(report: InstanceReport, desired: Desired, instance: AgentInstance) -> str:
    proven = report.attested_generation == desired.generation and report.state == desired.run_state
    above = bool(desired.run_state) and TO_DIRECTORY[RunState(desired.run_state)] != instance.state
    if above and instance.state != InstanceState.PROVISIONING:
        return f"{desired.run_state} by a stop, {'attested' if proven else 'not proven'}"
    return "attested" if proven else "reported"
