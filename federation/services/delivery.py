"""The command channel: hand out signed events under a lease, take acknowledgements and refusals, hear of progress."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from arm import clock, ids
from arm.errors import NotFound
from registry.models import AgentInstance

from ..models import AdapterSession, Command, ProviderClient
from ..protocol.assertions import signed_event
from ..protocol.commands import CommandEvent, CommandState, after
from ..protocol.documents import moment, set_claims
from ..protocol.refusals import stale_session
from .fencing import hold_session
from .keys import control_key
from .mishaps import not_carried_out
from .orders import hold

LEASE = timedelta(seconds=15)
MOST_EVENTS = 50
SET_ERRORS = frozenset(
    {"invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed", "access_denied"}
    | {"unsupported", "stale_generation", "policy_refused"}
)  # fmt: skip
HANDED_OUT = (CommandState.AVAILABLE, CommandState.DELIVERED)


@dataclass(frozen=True, slots=True)
class Batch:
    """Signed events by `jti`, and whether more wait."""

    sets: dict[str, str]
    more: bool


@transaction.atomic
def poll(
    *,
    session: AdapterSession,
    most: int = MOST_EVENTS,
    acks: Iterable[str] = (),
    errors: Mapping[str, Mapping[str, str]] | None = None,
) -> Batch:
    """RFC 8936: take what was acknowledged or refused, then hand out what waits, each under a lease of 15 s so that two
    pollers never hold one. What is not acknowledged is handed out again."""
    hold_session(session)
    client, now = session.client, clock.now()
    _settle(client, set(acks), dict(errors or {}), now)
    AdapterSession.objects.filter(pk=session.pk).update(polled_at=now)
    most = min(most, MOST_EVENTS)
    if not most:
        return Batch({}, _waiting(client, now).exists())
    rows = _waiting(client, now).select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    found = list(rows[:most])
    if not found:
        return Batch({}, False)
    key, private = control_key(client.tenant_id)
    sets = {}
    for command in found:
        claims = _claims(command, session, now)
        command.jws = sets[command.jti] = signed_event(claims, key=private, kid=key.kid)
        command.state = after(command.state, CommandEvent.DELIVER)
        command.delivered_at = command.delivered_at or now
        command.lease_until = now + LEASE
        command.delivery_count += 1
        command.save(update_fields=["jws", "state", "delivered_at", "lease_until", "delivery_count"])
    return Batch(sets, _waiting(client, now).exists())


@transaction.atomic
def take_status(*, session: AdapterSession, command: UUID, said: Mapping[str, Any]) -> Command:
    """The provider applies a command, or has failed for good. What has ended stays as it ended and is answered."""
    hold_session(session)
    row = (
        Command.objects.select_for_update(of=("self",))
        .select_related("instance")
        .filter(pk=command, provider=session.client.provider_id)
        .first()
    )
    if row is None:
        raise NotFound("There is no such command of this provider.")
    if said["epoch"] != session.epoch:
        raise stale_session(f"The epoch of this session is {session.epoch}.")
    if not row.open:
        if row.state == CommandState.ENFORCED and "in_flight" in said:  # it drains, and says how much is left
            row.in_flight, row.in_flight_at = said["in_flight"], clock.now()
            row.save(update_fields=["in_flight", "in_flight_at"])
        return row
    now = clock.now()
    failed = said["status"] == "failed"
    to = after(row.state, CommandEvent.FAIL if failed else CommandEvent.APPLY)
    if to == row.state != CommandState.APPLYING:
        return row  # it was never handed out: nobody can be at it
    row.state = to
    row.acked_at = row.acked_at or now  # who applies it has it
    row.applying_at = row.applying_at or now
    row.progress = said.get("progress", row.progress)
    if "in_flight" in said:
        row.in_flight, row.in_flight_at = said["in_flight"], now
    if failed:
        row.finished_at = now
        row.error_code, row.error_text = said["reason"]["code"], said["reason"]["message"]
        not_carried_out(row)
    row.save()
    return row


def _waiting(client: ProviderClient, now: datetime) -> Any:
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    return Command.objects.filter(free, provider=client.provider_id, state__in=HANDED_OUT)


def _settle(
    client: ProviderClient, acks: set[str], errors: dict[str, Mapping[str, str]], now: datetime
) -> None:
    """Identifiers that are not this provider's, or whose command has ended, change nothing."""
    rows = Command.objects.filter(provider=client.provider_id, jti__in=acks | errors.keys()).order_by("pk")
    hold(AgentInstance.objects.filter(pk__in=rows.open().values("instance")))
    for command in rows.open().select_for_update(of=("self",)).select_related("instance"):
        refused = errors.get(command.jti)
        before = command.state
        command.state = after(before, CommandEvent.ERR if refused else CommandEvent.ACK)
        if command.state == before:
            continue
        if refused:
            code = refused["err"]
            command.error_code = code if code in SET_ERRORS else "invalid_request"
            command.error_text = refused.get("description", "")
            command.finished_at = now
            not_carried_out(command)
        else:
            command.acked_at = now
        command.save(update_fields=["state", "acked_at", "error_code", "error_text", "finished_at"])


def _claims(command: Command, session: AdapterSession, now: datetime) -> dict[str, Any]:
    event = {
        "command_id": command.typeid,
        "generation": command.generation,
        "desired": json.loads(bytes(command.document)),
        "desired_sha256": command.sha256,
        "from_state": command.from_state,
        "to_state": command.to_state,
        "initiating_entity": command.initiating_entity,
        "initiated_by": command.initiated_by,
        "reason_code": command.reason_code,
        "ack_by": moment(command.ack_by),
        "enforce_by": moment(command.enforce_by),
        "drill": False,
        "event_timestamp": int(command.decided_at.timestamp()),
    }
    return set_claims(
        issuer=session.issuer,
        audience=ids.encode(ProviderClient.prefix, session.client_id),
        jti=command.jti,
        issued_at=now,
        tenant_id=ids.encode("ten", command.tenant_id),
        event=event,
        restrictive=command.restrictive,
    )
