"""Providers' clients: invite, register, approve (another person), revoke."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction

from arm import changes, clock, crypto, tasks
from arm.errors import Conflict, NotAllowed
from arm.models import User
from arm.permissions import require
from arm.queries import single_handed
from arm.rights import Right
from registry.models import AgentInstance, Provider
from registry.services.asking import require_in_person, require_reason
from registry.services.locking import locked

from ..models import AccessToken, AdapterSession, Command, Invite, ProviderClient
from ..protocol.commands import CommandEvent, after
from ..protocol.metadata import MANDATORY, SCOPES, invalid_metadata, keys_of
from ..protocol.refusals import Refused
from .keys import control_key
from .mishaps import not_carried_out
from .orders import decide, hold

INVITED_FOR = timedelta(hours=24)
Status = ProviderClient.Status


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation and its token, which is shown once and stored nowhere."""

    invite: Invite
    token: str


@transaction.atomic
def invite_provider(*, provider: Provider, actor: User, reason: str) -> Invited:
    """A registration token for a federated provider, good for a day and for one registration; an earlier one ends.

    Conflict where a client speaks for the provider already, and for a local provider.
    """
    require(actor, Right.INVITE_PROVIDER, provider)
    require_reason(reason)
    require_in_person("invite a provider", "on the provider's page")
    provider = locked(Provider.objects.all(), provider.pk)
    if provider.kind != Provider.Kind.FEDERATED:
        raise Conflict(f"{provider} is local; only a federated provider is invited.")
    if client := ProviderClient.objects.filter(provider=provider).live().first():
        raise Conflict(f"{client.name} speaks for {provider} already; revoke it first.", client=client.typeid)
    now = clock.now()
    Invite.objects.filter(provider=provider, used_at=None, ended_at=None).update(ended_at=now)
    token = crypto.new_token("r")
    invite = Invite.objects.create(
        tenant_id=provider.tenant_id,
        provider=provider,
        digest=crypto.token_digest(token),
        last4=token[-4:],
        invited_by=actor,
        created_at=now,
        expires_at=now + INVITED_FOR,
    )
    said = {"provider": provider.typeid, "last4": invite.last4, "expires_at": invite.expires_at}
    changes.record(
        actor, "federation.invite.issued", invite, after=said, reason=reason, links=[provider.typeid]
    )
    return Invited(invite, token)


@transaction.atomic
def register_client(*, invite: Invite, metadata: Mapping[str, Any]) -> ProviderClient:
    """What the holder of the token says of itself, waiting for a person's approval. The token is used by success only.

    409 for a used token, 403 for one that has ended, 400 for wrong metadata.
    """
    invite = locked(Invite.objects.select_related("provider"), invite.pk)
    if invite.used_at is not None:
        raise Refused("invite-used", 409, "This registration token has been used.", recorded=True)
    if not invite.open:
        raise Refused(
            "invite-expired", 403, "This registration token has ended; ask for another.", recorded=True
        )
    keys = keys_of(metadata["jwks"])
    if lacking := [name for name in MANDATORY if name not in metadata["arm_capabilities"]]:
        said = f"The capabilities {', '.join(lacking)} are mandatory."
        raise invalid_metadata([{"pointer": "/arm_capabilities", "code": "mandatory", "message": said}])
    scope = [name for name in SCOPES if name in metadata["scope"].split()]
    if not scope:
        said = f"Ask for some of: {' '.join(SCOPES)}."
        raise invalid_metadata([{"pointer": "/scope", "code": "scope", "message": said}])
    if ProviderClient.objects.filter(provider=invite.provider_id).live().exists():
        raise Refused("client-exists", 409, "Another client speaks for this provider.", recorded=True)
    now = clock.now()
    Invite.objects.filter(pk=invite.pk).update(used_at=now)
    client = ProviderClient.objects.create(
        tenant_id=invite.tenant_id,
        provider=invite.provider,
        invite=invite,
        name=metadata["client_name"],
        software_id=metadata["software_id"],
        software_version=metadata["software_version"],
        contacts=list(metadata["contacts"]),
        scope=" ".join(scope),
        capabilities=sorted(set(metadata["arm_capabilities"])),
        auth_jwk=keys.auth,
        auth_kid=keys.auth_kid,
        attest_jwk=keys.attest,
        attest_kid=keys.attest_kid,
        registered_at=now,
    )
    after_ = {
        "name": client.name,
        "software": f"{client.software_id} {client.software_version}",
        "auth_kid": client.auth_kid,
        "attest_kid": client.attest_kid,
        "capabilities": client.capabilities,
    }
    links = [invite.typeid, invite.provider.typeid]
    record = changes.record(None, "federation.client.registered", client, after=after_, links=links)
    _tell(client, "federation.client.registered", record.pk)
    return client


@transaction.atomic
def approve_client(
    *, client: ProviderClient, actor: User, reason: str, auth_kid: str, attest_kid: str
) -> ProviderClient:
    """Another person than who invited has compared both thumbprints with the provider. From now on it is told what is
    wanted of its instances. Conflict where the thumbprints are not those that were shown."""
    require(actor, Right.APPROVE_PROVIDER, client)
    require_reason(reason)
    require_in_person("approve a provider", "on the client's page")
    client = locked(ProviderClient.objects.select_related("provider", "invite"), client.pk)
    if client.status != Status.PENDING:
        raise Conflict(f"{client.name} is {client.get_status_display().lower()}.")
    if (auth_kid, attest_kid) != (client.auth_kid, client.attest_kid):
        raise Conflict("These are not the thumbprints that were shown; open the page again.")
    alone = actor.pk == client.invite.invited_by_id
    if alone and not single_handed(client.tenant_id):
        raise NotAllowed("Who invited a provider does not approve it; ask another person.")
    client.status, client.approved_by, client.approved_at = Status.REGISTERED, actor, clock.now()
    client.save(update_fields=["status", "approved_by", "approved_at"])
    control_key(client.tenant_id)
    said = {"status": client.status, "auth_kid": auth_kid, "attest_kid": attest_kid}
    record = changes.record(
        actor,
        "federation.client.approved",
        client,
        before={"status": Status.PENDING},
        after=said | ({"sod_mode": "reduced"} if alone else {}),
        reason=reason,
        links=[client.provider.typeid],
    )
    running = AgentInstance.objects.filter(provider=client.provider_id).live().order_by("pk")
    decide(
        instances=list(running.values_list("pk", flat=True)),
        actor=actor,
        reason_code="registered",
        again=True,
    )
    _tell(client, "federation.client.approved", record.pk)
    return client


@transaction.atomic
def revoke_client(*, client: ProviderClient, actor: User, reason: str) -> ProviderClient:
    """End a client at once: its tokens and its session count no more, and what it has not proved stays unproved.
    Revoking a revoked one changes nothing."""
    require(actor, Right.APPROVE_PROVIDER, client)
    require_reason(reason)
    client = locked(ProviderClient.objects.select_related("provider"), client.pk)
    if client.status == Status.REVOKED:
        return client
    before, now = client.status, clock.now()
    client.status, client.revoked_by, client.revoked_at = Status.REVOKED, actor, now
    client.save(update_fields=["status", "revoked_by", "revoked_at"])
    AccessToken.objects.filter(client=client, revoked_at=None).update(revoked_at=now)
    AdapterSession.objects.filter(client=client, closed_at=None).update(closed_at=now)
    hold(AgentInstance.objects.filter(provider=client.provider_id))
    open_ = Command.objects.select_for_update(of=("self",)).filter(provider=client.provider_id).open()
    for command in open_.select_related("instance", "provider").order_by("pk"):
        command.state, command.finished_at = after(command.state, CommandEvent.SUPERSEDE), now
        command.error_code, command.error_text = "client_revoked", "The provider's client was revoked."
        command.save(update_fields=["state", "finished_at", "error_code", "error_text"])
        if command.restrictive:
            not_carried_out(command)
    record = changes.record(
        actor,
        "federation.client.revoked",
        client,
        before={"status": before},
        after={"status": client.status},
        reason=reason,
        links=[client.provider.typeid],
    )
    _tell(client, "federation.client.revoked", record.pk)
    return client


def _tell(client: ProviderClient, event: str, change_id: object) -> None:
    tasks.announce(event, tenant_id=client.tenant_id, client_id=str(client.pk), change_id=str(change_id))
