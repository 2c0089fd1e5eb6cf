"""What is wanted of a provider's instances: decided in the transaction of the change that wants it."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from django.db.models import Q, QuerySet

from arm import clock, ids
from arm.keys import Among
from arm.models import User
from policy.engine import Mode
from policy.models import Posture
from policy.models.targets import STOPPABLE
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, Provider

from ..models import Command, Desired, InstanceReport, ProviderClient
from ..protocol.commands import CommandEvent, CommandState, after
from ..protocol.documents import desired_document
from ..protocol.states import NEEDS, RunState, wanted
from .mishaps import nobody_told, not_carried_out
from .showing import forget, proves, show_proven

ACK_WITHIN = timedelta(seconds=30)
ENFORCE_WITHIN = timedelta(seconds=60)


def decide(
    *, instances: Sequence[UUID], actor: User | None, reason_code: str, again: bool = False
) -> list[Command]:
    """A new generation for each of these instances of which something else is wanted now than was: its document and
    the command that says so. `again`: also where nothing else is wanted, for who must hear or prove it once more.

    Instances of local providers are passed over. Where no client is registered nobody can be told: an incident says so
    of every restriction. The caller's transaction holds the change, so that neither is without the other.
    """
    rows = AgentInstance.objects.filter(Among("pk", tuple(instances)), provider__kind=Provider.Kind.FEDERATED)
    if not hold(rows):
        return []
    found = list(rows.select_related("version__genome", "provider").order_by("pk"))
    clients = {
        client.provider_id: client
        for client in ProviderClient.objects.registered().filter(
            provider__in={row.provider_id for row in found}
        )
    }
    stops = _stops_in_force({row.tenant_id for row in found})
    for row in found:
        if row.provider_id not in clients:
            _deaf(row, stops)
    found = [row for row in found if row.provider_id in clients]
    new = [Desired(tenant_id=row.tenant_id, instance=row) for row in found]
    Desired.objects.bulk_create(new, ignore_conflicts=True)
    known = {
        row.instance_id: row
        for row in Desired.objects.select_for_update().filter(instance__in=found).order_by("pk")
    }
    reports = {row.instance_id: row for row in InstanceReport.objects.filter(instance__in=found)}
    made = []
    for row in found:
        report = reports.get(row.pk)
        one = _decide(row, known[row.pk], report, clients[row.provider_id], stops, actor, reason_code, again)
        made += [one] if one else []
    return made


def hold(rows: QuerySet[AgentInstance]) -> int:
    """Take these instances before anything about them, in one order for everybody: who stops one holds it first, and
    whoever writes a row that points at it needs it, too. Returns how many."""
    return len(rows.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))


def drifted(tenant_id: UUID) -> list[UUID]:
    """Instances of which something else is wanted than their document says: stops end by time, without anybody's act."""
    stops = _stops_in_force({tenant_id})
    told = ProviderClient.objects.registered().filter(tenant=tenant_id).values("provider")
    rows = Desired.objects.filter(tenant=tenant_id, instance__provider__in=told)
    found = []
    for row in rows.select_related("instance").exclude(instance__state="retired", run_state=RunState.RETIRED):
        state, allow = wanted(row.instance.state, _over(row.instance, stops))
        if not _says(row, state, allow, row.instance):
            found.append(row.instance_id)
    return found


def _decide(
    instance: AgentInstance,
    desired: Desired,
    report: InstanceReport | None,
    client: ProviderClient,
    stops: Sequence[Posture],
    actor: User | None,
    reason_code: str,
    again: bool,
) -> Command | None:
    state, allow = wanted(instance.state, _over(instance, stops))
    if not again and _says(desired, state, allow, instance):
        show_proven(instance, report, desired)
        return None
    held = proves(report, desired) and RunState(desired.run_state).severity >= state.severity
    now, pk = clock.now(), ids.uuid7()
    before = RunState(desired.run_state) if desired.run_state else None
    generation = max(desired.generation + 1, instance.generation)
    document = desired_document(
        instance_id=instance.typeid,
        generation=generation,
        run_state=state,
        version_id=ids.encode("ver", instance.version_id),
        genome_digest=instance.version.genome.digest,
        allow=allow,
        issued_at=now,
        command_id=ids.encode(Command.prefix, pk),
        reason_code=reason_code,
    )
    _supersede(instance, now)
    desired.generation, desired.run_state, desired.decided_at = generation, state.value, now
    desired.document, desired.sha256 = document, sha256_of(document)
    desired.save(update_fields=["generation", "run_state", "document", "sha256", "decided_at"])
    forget(instance, report)
    lacking = NEEDS.get(state, "")
    lacking = "" if lacking in client.capabilities else lacking
    command = Command.objects.create(
        id=pk,
        tenant_id=instance.tenant_id,
        provider_id=instance.provider_id,
        instance=instance,
        generation=generation,
        document=document,
        sha256=desired.sha256,
        from_state=before or "Unknown",
        to_state=state,
        restrictive=state is not RunState.ACTIVE and not held,
        reason_code=reason_code,
        initiated_by=str(actor.pk) if actor else "arm",
        initiating_entity="user" if actor else "policy",
        state=CommandState.UNDELIVERABLE if lacking else CommandState.AVAILABLE,
        jti=ids.encode("set", pk),
        decided_at=now,
        available_at=None if lacking else now,
        finished_at=now if lacking else None,
        error_code="capability" if lacking else "",
        error_text=f"The provider has not declared {lacking}." if lacking else "",
        ack_by=now + ACK_WITHIN,
        enforce_by=now + ENFORCE_WITHIN,
    )
    if lacking:
        not_carried_out(command)
    return command


def _deaf(instance: AgentInstance, stops: Sequence[Posture]) -> None:
    """No client is registered for its provider: what is wanted reaches nobody, and proves nothing."""
    state, allow = wanted(instance.state, _over(instance, stops))
    desired = Desired.objects.filter(instance=instance).first() or Desired(instance=instance)
    report = InstanceReport.objects.filter(instance=instance).first()
    if _says(desired, state, allow, instance) and proves(report, desired):
        return
    forget(instance, report)
    waits = instance.state == InstanceState.PROVISIONING and state is RunState.PAUSED  # it has not begun
    if state is not RunState.ACTIVE and not waits:
        nobody_told(instance, state)


def sha256_of(document: bytes) -> str:
    """Hexadecimal: how a statement names a subject."""
    return sha256(document).hexdigest()


def _supersede(instance: AgentInstance, now: datetime) -> None:
    for older in Command.objects.select_for_update().filter(instance=instance).open():
        older.state, older.finished_at = after(older.state, CommandEvent.SUPERSEDE), now
        older.save(update_fields=["state", "finished_at"])


def _says(desired: Desired, state: RunState, allow: dict[str, bool], instance: AgentInstance) -> bool:
    """Whether the document that stands says exactly this."""
    if not desired.document:
        return False
    said = json.loads(bytes(desired.document))
    version = ids.encode("ver", instance.version_id)
    return bool((said["run_state"], said["allow"], said["version_id"]) == (state, allow, version))


def _stops_in_force(tenants: set[UUID]) -> list[Posture]:
    """Stops of whole agents; those of single tools are the decider's business, not the provider's."""
    whole = Q(tool="", tool_class="", tenant__in=tenants)
    return list(Posture.objects.in_force().filter(whole))


def _over(instance: AgentInstance, stops: Sequence[Posture]) -> list[Mode]:
    """The modes of the stops that this instance stands below."""
    above = {name: getattr(instance, f"{name}_id") for name in STOPPABLE if name != "instance"}
    above["instance"] = instance.pk
    return [
        Mode(stop.mode)
        for stop in stops
        if (stop.whole_tenant and stop.tenant_id == instance.tenant_id)
        or any(key is not None and getattr(stop, f"{name}_id") == key for name, key in above.items())
    ]
