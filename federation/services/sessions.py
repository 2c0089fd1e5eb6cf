"""Sessions of adapters: handshake, heartbeat, goodbye. Only the newest epoch writes; only our clock counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery

from arm import clock, ids
from arm.errors import NotFound
from registry.models import InstanceStatus

from ..models import AdapterSession, Command, Desired, InstanceReport, ProviderClient
from ..models.clients import LATE_AFTER
from ..protocol import VERSION
from ..protocol.commands import CommandState
from ..protocol.documents import fleet_digest
from ..protocol.metadata import MANDATORY
from ..protocol.refusals import Refused, client_revoked, stale_session
from ..protocol.states import NEEDS, RunState
from .fencing import ENDED, hold_client
from .orders import decide
from .reports import Said, take

FULL_EVERY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat is answered with."""

    received_at: datetime
    gap_ms: int
    late: bool
    flags: tuple[str, ...]
    pending: int


@transaction.atomic
def open_session(*, client: ProviderClient, said: Mapping[str, Any], issuer: str) -> AdapterSession:
    """A handshake: the epoch grows by one, and whoever wrote before is fenced off."""
    if VERSION not in said["protocol_versions"]:
        raise Refused("unsupported-version", 400, "This installation speaks 1.0.", supported=[VERSION])
    client = ProviderClient.objects.select_for_update().get(pk=client.pk)
    if client.status != ProviderClient.Status.REGISTERED:
        raise client_revoked()
    if said["attest_kid"] != client.attest_kid:
        raise Refused(
            "attest-key-unknown", 400, "This is not the attest key that was registered.", recorded=True
        )
    if lacking := [name for name in MANDATORY if name not in said["capabilities"]]:
        raise Refused("capability-required", 422, f"It takes {' and '.join(lacking)}.")
    now = clock.now()
    AdapterSession.objects.filter(client=client, closed_at=None).update(closed_at=now)
    client.epoch += 1
    client.capabilities = sorted(set(said["capabilities"]))
    client.save(update_fields=["epoch", "capabilities"])
    session = AdapterSession.objects.create(
        tenant_id=client.tenant_id,
        client=client,
        epoch=client.epoch,
        issuer=issuer,
        adapter_uid=UUID(said["adapter_uid"]),
        adapter_name=said["adapter"]["name"],
        adapter_version=said["adapter"]["version"],
        opened_at=now,
        offset_ms=offset_ms(now, said["sent_at"]),
    )
    _tell_again(client)
    return session


def current_session(client: ProviderClient, pk: UUID, *, lock: bool = False) -> AdapterSession:
    """The session, if it is the newest of this client and open. Refused `stale-session` otherwise; NotFound for
    another's."""
    rows = AdapterSession.objects.filter(client=client)
    session = (rows.select_for_update() if lock else rows).filter(pk=pk).first()
    if session is None:
        raise NotFound("There is no such session of this client.")
    if session.closed_at is not None:
        raise stale_session(ENDED)
    return session


@transaction.atomic
def heartbeat(*, client: ProviderClient, session: UUID, said: Mapping[str, Any]) -> Beat:
    """The adapter lives, and this is the digest of what it runs. Sent again, it is answered again and changes nothing.

    Where the digests agree, every state that ARM holds of this provider is confirmed in one statement.
    """
    hold_client(client)
    row = current_session(client, session, lock=True)
    if said["epoch"] != row.epoch:
        raise stale_session(f"The epoch of this session is {row.epoch}.")
    now = clock.now()
    gap = now - row.heard_at
    if said["seq"] > row.seq:
        _beat(client, row, said, now)
    flags = ("report_full_inventory",) if row.full_wanted else ()
    pending = Command.objects.filter(
        provider=client.provider_id, state__in=["available", "delivered"]
    ).count()
    return Beat(
        received_at=now,
        gap_ms=round(gap.total_seconds() * 1000),
        late=gap > LATE_AFTER,
        flags=(*flags, "poll_now") if pending else flags,
        pending=pending,
    )


@transaction.atomic
def close_session(*, client: ProviderClient, session: UUID) -> None:
    """A clean goodbye. Repeated, it changes nothing; what ran is unknown from now on."""
    ProviderClient.objects.select_for_update().only("pk").get(pk=client.pk)  # who writes has written
    row = AdapterSession.objects.select_for_update().filter(client=client, pk=session).first()
    if row is None:
        raise NotFound("There is no such session of this client.")
    if row.closed_at is None:
        row.closed_at = clock.now()
        row.save(update_fields=["closed_at"])


def our_fleet(client: ProviderClient) -> tuple[int, str]:
    """How many instances ARM believes to be at the provider, and their digest."""
    rows = InstanceReport.objects.filter(provider=client.provider_id).present().order_by()
    lines = [
        (ids.encode("ins", instance) if instance else name, version, state, generation)
        for instance, name, version, state, generation in rows.values_list(
            "instance_id", "external_id", "version_id", "state", "generation"
        )
    ]
    return len(lines), fleet_digest(lines)


def confirm_all(client: ProviderClient, now: datetime) -> None:
    """Every instance that was reported is as it was reported, as of now."""
    present = InstanceReport.objects.filter(provider=client.provider_id).present()
    present.update(confirmed_at=now)
    InstanceStatus.objects.filter(instance__in=present.exclude(instance=None).values("instance")).update(
        heartbeat_at=now
    )


def offset_ms(received: datetime, sent: str, rtt_ms: int = 0) -> int:
    """Our clock less theirs, half a round trip taken off; recorded, never used to judge."""
    return round((received - datetime.fromisoformat(sent)).total_seconds() * 1000 - rtt_ms / 2)


def _tell_again(client: ProviderClient) -> None:
    """What could not be told for want of a capability is told now, if the adapter has it by now."""
    rows = Command.objects.filter(provider=client.provider_id, state=CommandState.UNDELIVERABLE)
    newest = rows.filter(generation=Subquery(_generation_wanted()))
    able = [row.instance_id for row in newest if NEEDS.get(RunState(row.to_state), "") in client.capabilities]
    decide(instances=able, actor=None, reason_code="capability_declared", again=True)


def _generation_wanted() -> QuerySet[Desired, int]:
    return Desired.objects.filter(instance=OuterRef("instance")).values_list("generation", flat=True)


def _beat(client: ProviderClient, row: AdapterSession, said: Mapping[str, Any], now: datetime) -> None:
    missed = said["seq"] > row.seq + 1 and row.seq > 0
    changed = [Said.of({**one, "external_id": one["id"]}) for one in said.get("instances_changed", ())]
    take(client=client, said=changed, epoch=row.epoch, now=now)
    count, digest = our_fleet(client)
    row.agrees = (said["inventory"]["count"], said["inventory"]["digest"]) == (count, digest)
    if row.agrees:
        confirm_all(client, now)
    row.full_wanted = bool(missed or not row.agrees)
    row.seq, row.heartbeat_at = said["seq"], now
    row.said_count, row.said_digest = said["inventory"]["count"], said["inventory"]["digest"]
    row.health, row.health_message = said["health"]["status"], said["health"].get("message", "")
    row.offset_ms = offset_ms(now, said["sent_at"], said.get("rtt_ms", 0))
    row.save()
