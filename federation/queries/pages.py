"""What the pages of the federation show: an instance between wish and proof, a client with its session, a command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from arm import clock
from arm.models import User
from arm.permissions import held_on, visible
from arm.rights import Right
from registry.models import AgentInstance, Provider

from ..models import (
    AdapterSession,
    Attestation,
    Command,
    ControlKey,
    Desired,
    InstanceReport,
    Invite,
    ProviderClient,
    Snapshot,
)
from ..protocol.commands import CommandState

SHOWN = 10


@dataclass(frozen=True, slots=True)
class InstancePage:
    """An instance of a federated provider: what is wanted, said and proven of it, each with its time."""

    client: ProviderClient | None
    session: AdapterSession | None
    reachable: bool | None
    desired: Desired | None
    command: Command | None
    report: InstanceReport | None
    proven: bool
    refused: Attestation | None
    moments: Sequence[Mapping[str, Any]]


def instance_page(instance: AgentInstance) -> InstancePage:
    client = ProviderClient.objects.filter(provider=instance.provider_id).live().first()
    session = _session(client)
    desired = Desired.objects.filter(instance=instance).first()
    commands = Command.objects.filter(instance=instance).select_related("provider")
    command = commands.filter(generation=desired.generation).first() if desired else None
    report = InstanceReport.objects.filter(instance=instance).first()
    proofs = Attestation.objects.filter(instance=instance, command=command) if command else None
    proven = bool(desired and report and report.attested_generation == desired.generation)
    return InstancePage(
        client=client,
        session=session,
        reachable=session.reachable(clock.now()) if session else False,
        desired=desired,
        command=command,
        report=report,
        proven=proven,
        refused=proofs.filter(ok=False).first() if proofs is not None else None,
        moments=command_moments(command) if command else (),
    )


def command_moments(command: Command) -> list[dict[str, Any]]:
    """The consistency window as a timeline, oldest first: decided, available, delivered, acknowledged, applied, proven."""
    delivered = f"{command.delivery_count} times" if command.delivery_count > 1 else ""
    progress = "" if command.progress is None else f"{command.progress} %"
    applied = "By the provider's clock."
    marks: list[tuple[datetime | None, str, str, str]] = [
        (command.decided_at, "Decided", f"{command.from_state} → {command.to_state}", ""),
        (command.available_at, "Available", "", ""),
        (command.delivered_at, "Delivered", delivered, ""),
        (command.acked_at, "Acknowledged", _late(command.acked_at, command.ack_by), ""),
        (command.applying_at, "Applying", progress, "running"),
        (command.applied_at, "Applied", applied, ""),
        (command.attested_at, "Attested", _late(command.attested_at, command.enforce_by), "verified"),
    ]
    ended = command.finished_at if command.state != CommandState.ENFORCED else None
    marks.append((ended, command.get_state_display(), command.error_text, command.state))
    return [
        {"at": at, "title": title, "text": text, "state": state} for at, title, text, state in marks if at
    ]


@dataclass(frozen=True, slots=True)
class ClientPage:
    session: AdapterSession | None
    reachable: bool | None
    sessions: Sequence[AdapterSession]
    present: int
    missing: int
    unregistered: Sequence[InstanceReport]
    unregistered_count: int
    held: Snapshot | None
    last_snapshot: Snapshot | None
    commands: Sequence[Command]
    control_key: ControlKey | None
    rights: frozenset[Right]


def client_page(client: ProviderClient, actor: User) -> ClientPage:
    session = _session(client)
    reports = InstanceReport.objects.filter(provider=client.provider_id)
    snapshots = Snapshot.objects.filter(session__client=client)
    held = snapshots.filter(state=Snapshot.State.HELD, session=session).first() if session else None
    commands = visible(Command.objects.for_list(), actor, Right.READ_DIRECTORY)
    return ClientPage(
        session=session,
        reachable=session.reachable(clock.now()) if session else False,
        sessions=list(AdapterSession.objects.filter(client=client)[:5]),
        present=reports.present().count(),
        missing=reports.filter(missing=True).count(),
        unregistered=list(reports.unregistered()[:SHOWN]),
        unregistered_count=reports.unregistered().count(),
        held=held,
        last_snapshot=snapshots.exclude(state=Snapshot.State.OPEN).first(),
        commands=list(commands.filter(provider=client.provider_id)[:SHOWN]),
        control_key=ControlKey.objects.filter(tenant=client.tenant_id, retired_at=None).first(),
        rights=held_on(actor, client),
    )


@dataclass(frozen=True, slots=True)
class ProviderPage:
    client: ProviderClient | None
    invite: Invite | None
    session: AdapterSession | None
    reachable: bool | None
    open_commands: int
    rights: frozenset[Right]


def provider_page(provider: Provider, actor: User) -> ProviderPage:
    """Who speaks for a federated provider, and whether it is heard."""
    client = ProviderClient.objects.filter(provider=provider).live().first()
    session = _session(client)
    invite = Invite.objects.filter(provider=provider).select_related("invited_by").first()
    return ProviderPage(
        client=client,
        invite=invite if client is None and invite is not None and invite.open else None,
        session=session,
        reachable=session.reachable(clock.now()) if session else False,
        open_commands=Command.objects.filter(provider=provider).open().count(),
        rights=held_on(actor, provider),
    )


def with_sessions(
    clients: Sequence[ProviderClient],
) -> list[tuple[ProviderClient, AdapterSession | None, str]]:
    """Each client with its newest session and whether it is heard: `ok`, `unknown` or `failed`."""
    now = clock.now()
    rows = (
        AdapterSession.objects.filter(client__in=clients)
        .order_by("client_id", "-epoch")
        .distinct("client_id")
    )
    found = {row.client_id: row for row in rows}
    return [(one, found.get(one.pk), word(found.get(one.pk), now)) for one in clients]


def word(session: AdapterSession | None, now: datetime) -> str:
    if session is None:
        return "unknown"
    return {True: "reachable", None: "unknown", False: "unreachable"}[session.reachable(now)]


def _session(client: ProviderClient | None) -> AdapterSession | None:
    return AdapterSession.objects.filter(client=client).first() if client else None


def _late(at: datetime | None, by: datetime) -> str:
    return "Late." if at is not None and at > by else ""
