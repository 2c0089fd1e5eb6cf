"""What a provider is and says."""

from datetime import timedelta
from typing import Any

from arm import clock, crypto, ids
from federation.models import AdapterSession, Attestation, Command, Invite, ProviderClient, Snapshot
from registry.models import AgentInstance

from .core import _n, user


def of_a_provider(of: AgentInstance, **kw: Any) -> list[Any]:
    """The registered client of an instance's provider, with one row of each kind that has an address."""
    whose = {"tenant": of.tenant, "provider": of.provider}
    now, serial = clock.now(), next(_n)
    invite = Invite.objects.create(
        **whose,
        digest=crypto.token_digest(crypto.new_token("r")),
        last4="0000",
        invited_by=user(member_of=of.tenant),
        expires_at=now + timedelta(hours=24),
        used_at=now,
    )
    defaults = {
        "name": f"adapter-{serial}",
        "status": "registered",
        "software_id": "tests",
        "software_version": "1",
        "scope": "federation:control",
        "capabilities": ["heartbeat", "inventory.full"],
        "auth_jwk": {},
        "auth_kid": f"auth-{serial}",
        "attest_jwk": {},
        "attest_kid": f"attest-{serial}",
        "approved_at": now,
    }
    client = ProviderClient.objects.create(**whose, invite=invite, **defaults | kw)
    session = AdapterSession.objects.create(
        tenant=of.tenant,
        client=client,
        epoch=1,
        issuer="http://testserver",
        adapter_uid=ids.uuid7(),
        adapter_name="tests",
        adapter_version="1",
    )
    command = Command.objects.create(
        **whose,
        instance=of,
        generation=2,
        document=b"{}",
        sha256="0" * 64,
        from_state="Active",
        to_state="Quarantined",
        restrictive=True,
        reason_code="wanted",
        initiated_by="arm",
        initiating_entity="policy",
        jti=f"set-{serial}",
        ack_by=now + timedelta(seconds=30),
        enforce_by=now + timedelta(seconds=60),
        available_at=now,
    )
    snapshot = Snapshot.objects.create(tenant=of.tenant, session=session)
    said = {"client": client, "instance": of, "command": command, "envelope": b"{}", "ok": True}
    proof = Attestation.objects.create(tenant=of.tenant, digest=f"sha256:{serial}", **said)
    return [invite, client, session, command, snapshot, proof]
