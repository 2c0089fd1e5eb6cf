"""The last word about each instance, in the order it was said, and what the pages may show for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Q

from arm import ids, ports
from arm.errors import Problem
from registry.models import AgentInstance

from ..models import Desired, InstanceReport, ProviderClient
from ..protocol.states import RunState
from .orders import decide, hold
from .showing import keep_late, show


@dataclass(frozen=True, slots=True)
class Said:
    """One instance as a provider says it. `id` is ARM's, where the provider knows it; `seq` counts what the adapter has
    seen since its handshake; `observed_at` is when it saw this, by its own clock."""

    external_id: str
    id: str
    state: str
    generation: int
    version_id: str
    seq: int
    observed_at: datetime | None = None
    in_flight: int | None = None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Said":
        """An item of the protocol, whose shape was judged. The inventory names both identifiers, a heartbeat ARM's."""
        at = item.get("observed_at")
        return cls(
            external_id=item.get("external_id") or item["id"],
            id=item.get("id", ""),
            state=item["state"],
            generation=item["generation"],
            version_id=item["version_id"],
            seq=item["seq"],
            observed_at=datetime.fromisoformat(at) if at else None,
            in_flight=item.get("in_flight"),
        )


def take(*, client: ProviderClient, said: Sequence[Said], epoch: int, now: datetime) -> list[Problem]:
    """Store what is newer than what was said before; what is older counts in the history alone, if it says when it was so.
    Problems are of single items, by their place; the others count.

    A later word of an older generation, or of a milder state than was proven, is not old news: it opens an incident
    and the command is given again.
    """
    if not said:
        return []
    wanted = _instances(client, said)
    hold(AgentInstance.objects.filter(pk__in=[one.pk for one in wanted.values()]))
    desired = {
        row.instance_id: row
        for row in Desired.objects.select_for_update().filter(instance__in=wanted.values()).order_by("pk")
    }
    names = {one.external_id for one in said} | {one.id for one in said}
    about = Q(instance__in=wanted.values()) | Q(external_id__in=names)
    mine = InstanceReport.objects.filter(about, provider=client.provider_id).order_by("pk")
    rows = mine.select_for_update(of=("self",)).select_related("instance")
    by_name = {row.external_id: row for row in rows}
    by_instance = {row.instance_id: row for row in by_name.values() if row.instance_id}
    problems: list[Problem] = []
    for place, one in enumerate(said):
        instance = wanted.get(one.id) if one.id else None
        if one.id and instance is None:
            text = f"No instance {one.id} of ARM runs at this provider."
            problems.append(Problem(pointer=f"/{place}/id", code="unknown", message=text))
            _keep_line(by_name, client, one, epoch, now)
            continue
        report = (
            (by_instance.get(instance.pk) if instance else None)
            or by_name.get(one.external_id)
            or (by_name.get(one.id) if one.id else None)
        )
        if report is None:
            report = InstanceReport(
                tenant_id=client.tenant_id,
                provider_id=client.provider_id,
                external_id=one.external_id,
                instance=instance,
                first_at=now,
            )
            by_name[one.external_id] = report
        elif (report.epoch, report.seq) >= (epoch, one.seq):
            known = report.instance
            if report.seq > one.seq and known is not None and instance in (None, known):
                keep_late(known, one.state, one.generation, now, one.observed_at)
            continue
        elif instance is not None and report.instance_id not in (None, instance.pk):
            text = f"“{one.external_id}” was another instance of ARM before."
            problems.append(Problem(pointer=f"/{place}/id", code="taken", message=text))
            _keep_line(by_name, client, one, epoch, now)
            continue
        report.instance = instance or report.instance
        if report.instance_id:
            by_instance[report.instance_id] = report
        _write(report, one, epoch, now, by_name)
        if report.instance is not None:
            weigh(report, desired.get(report.instance.pk), now, one.observed_at)
    return problems


def _keep_line(
    by_name: dict[str, InstanceReport], client: ProviderClient, one: Said, epoch: int, now: datetime
) -> None:
    """What was rejected still runs there: it is kept as unregistered, by the identifier that was said, so that the digest
    of all the others is not disproved by this one for ever."""
    known = by_name.get(one.id)
    if known is not None and (known.instance_id is not None or (known.epoch, known.seq) >= (epoch, one.seq)):
        return
    report = known or InstanceReport(
        tenant_id=client.tenant_id, provider_id=client.provider_id, external_id=one.id, first_at=now
    )
    by_name[one.id] = report
    _write(report, replace(one, external_id=one.id), epoch, now, by_name)


def _write(
    report: InstanceReport, one: Said, epoch: int, now: datetime, by_name: dict[str, InstanceReport]
) -> None:
    if one.external_id != one.id and by_name.get(one.external_id) in (None, report):
        report.external_id = one.external_id
        by_name[one.external_id] = report
    report.state, report.generation, report.version_id = one.state, one.generation, one.version_id
    if one.in_flight is not None:  # who leaves it out says nothing new of it
        report.in_flight, report.in_flight_at = one.in_flight, now
    report.epoch, report.seq, report.missing = epoch, one.seq, False
    report.reported_at = report.confirmed_at = now
    report.save()


def weigh(
    report: InstanceReport, desired: Desired | None, now: datetime, observed_at: datetime | None = None
) -> None:
    """Hold the last word against what was proven, and show what follows."""
    if report.attested_generation is not None and _regressed(report):
        regress(report, now)
        return
    show(report, desired, now, observed_at)


def _regressed(report: InstanceReport) -> bool:
    if report.generation < (report.attested_generation or 0):
        return True
    same = report.generation == report.attested_generation
    known = report.state in set(RunState) and report.attested_state
    return bool(same and known and RunState(report.state).severity < RunState(report.attested_state).severity)


def regress(report: InstanceReport, now: datetime) -> None:
    """What was proven holds no more: tell people, and give the command again."""
    instance = report.instance
    assert instance is not None
    facts: dict[str, Any] = {
        "proven": f"{report.attested_state}, generation {report.attested_generation}",
        "said": f"{report.state}, generation {report.generation}",
    }
    report.attested_state, report.attested_generation, report.attested_at = "", None, None
    report.regressed_at = now
    report.save()
    ports.incidents().open(
        tenant_id=report.tenant_id,
        kind="enforcement_failure",
        severity="s1",
        title=f"{instance} went back behind what its provider had proven",
        subject_kind="registry.agentinstance",
        subject_id=instance.pk,
        facts=facts,
    )
    decide(instances=[instance.pk], actor=None, reason_code="generation_regressed", again=True)
    show(report, Desired.objects.filter(instance=instance).first(), now)


def _instances(client: ProviderClient, said: Sequence[Said]) -> dict[str, AgentInstance]:
    """ARM's instances at this provider, by the identifiers that were said."""
    keys = {}
    for one in said:
        try:
            keys[ids.decode("ins", one.id)] = one.id
        except ValueError:
            continue
    rows = AgentInstance.objects.filter(pk__in=keys, provider=client.provider_id)
    return {keys[row.pk]: row for row in rows}
