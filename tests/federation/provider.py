"""A provider as the tests play it: its keys, its client registered and approved by two people, its messages over the
real addresses. What it signs and reads goes through jwcrypto, which the product does not use."""

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.test import Client
from jwcrypto import jwk, jwt

from arm import clock
from arm.models import Tenant, User
from evidence.signing import dsse, keys
from federation import services
from federation.models import Command, Invite, ProviderClient
from federation.protocol.documents import ENFORCEMENT, fleet_digest, moment
from registry.models import AgentInstance, Provider
from tests import make

HOST = "http://testserver"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CAPABILITIES = [
    "heartbeat", "inventory.full", "state.drain", "state.pause", "state.readonly", "state.quarantine", "state.retire",
    "attest.signed", "x.of-tomorrow",
]  # fmt: skip


def people(tenant: Tenant) -> tuple[User, User]:
    """Alice, who invites, and Bob, who approves."""
    alice = make.user("alice", first_name="Alice", member_of=tenant)
    bob = make.user("bob", first_name="Bob", member_of=tenant)
    return make.everything(alice, tenant), make.everything(bob, tenant)


def federated(**kw: Any) -> Provider:
    return make.provider("cloud", kind=Provider.Kind.FEDERATED, name="Cloud", **kw)


class Adapter:
    """One adapter of a provider; every method is one request and gives the answer."""

    def __init__(self, provider: Provider, inviter: User, approver: User) -> None:
        self.http, self.provider, self.inviter, self.approver = Client(), provider, inviter, approver
        self.auth, self.attest = keys.generate("P-256"), keys.generate("Ed25519")
        self.client: ProviderClient | None = None
        self.token, self.session, self.epoch, self.seq, self.beat = "", "", 0, 0, 0
        self.fleet: dict[str, tuple[str, str, int]] = {}
        self.one: Any = None

    # --- the way in

    def invite(self) -> services.Invited:
        return services.invite_provider(provider=self.provider, actor=self.inviter, reason="A new cloud.")

    def metadata(self, **members: Any) -> dict[str, Any]:
        jwks = [
            {**keys.jwk(key.public_key()), "use": "sig", "arm_duty": duty}
            for duty, key in (("auth", self.auth), ("attest", self.attest))
        ]
        return {
            "client_name": "Cloud adapter",
            "jwks": {"keys": jwks},
            "token_endpoint_auth_method": "private_key_jwt",
            "scope": "federation:control inventory:write attest:write",
            "software_id": "tests",
            "software_version": "1.0",
            "contacts": ["ops@cloud.example"],
            "arm_capabilities": CAPABILITIES,
        } | members

    def register(self, token: str, **members: Any) -> HttpResponse:
        return self._send("POST", "/federation/v1/register", self.metadata(**members), bearer=token)

    def approved(self) -> ProviderClient:
        answer = self.register(self.invite().token)
        assert answer.status_code == 201, answer.content
        client = ProviderClient.objects.get(invite=Invite.objects.latest("pk"))
        self.client = services.approve_client(
            client=client,
            actor=self.approver,
            reason="Compared by telephone.",
            auth_kid=client.auth_kid,
            attest_kid=client.attest_kid,
        )
        return self.client

    def claims(self, **members: Any) -> dict[str, Any]:
        assert self.client is not None
        now = int(time.time())
        return {
            "iss": self.client.typeid,
            "sub": self.client.typeid,
            "aud": f"{HOST}/oauth/token",
            "iat": now,
            "exp": now + 120,
            "jti": uuid.uuid4().hex,
        } | members

    def assertion(self, key: Any = None, **members: Any) -> str:
        return signed_jwt(self.claims(**members), key or self.auth)

    def ask_token(self, assertion: str | None = None, **members: str) -> HttpResponse:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION,
            "client_assertion": self.assertion() if assertion is None else assertion,
        } | members
        kind = "application/x-www-form-urlencoded"
        return self.http.generic("POST", "/oauth/token", urlencode(form).encode(), content_type=kind)

    def sign_in(self) -> None:
        answer = self.ask_token()
        assert answer.status_code == 200, answer.content
        self.token = answer.json()["access_token"]

    def handshake(self, **members: Any) -> HttpResponse:
        answer = self._send(
            "POST",
            "/federation/v1/sessions",
            {
                "adapter_uid": str(uuid.uuid4()),
                "protocol_versions": ["2.0", "1.0"],
                "adapter": {"name": "tests", "version": "1.0"},
                "capabilities": CAPABILITIES,
                "sent_at": moment(clock.now()),
                "attest_kid": keys.key_id(self.attest.public_key()),
                "of_tomorrow": {"ignored": True},
            }
            | members,
        )
        if answer.status_code == 201:
            self.session, self.epoch = answer.json()["session_id"], answer.json()["epoch"]
            self.seq = self.beat = 0
        return answer

    def connected(self) -> "Adapter":
        self.approved()
        self.sign_in()
        assert self.handshake().status_code == 201
        return self

    # --- what it says

    def runs(self, instance: AgentInstance, state: str = "Active", generation: int = 1) -> None:
        self.fleet[instance.typeid] = (instance.version.typeid, state, generation)

    def digest(self) -> str:
        return fleet_digest((id, version, state, n) for id, (version, state, n) in self.fleet.items())

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def heartbeat(self, *changed: AgentInstance, **members: Any) -> HttpResponse:
        self.beat += 1
        rows = [
            {"id": one.typeid, "version_id": v, "state": state, "generation": n, "seq": self.next_seq()}
            for one in changed
            for v, state, n in [self.fleet[one.typeid]]
        ]
        said = {
            "epoch": self.epoch,
            "seq": self.beat,
            "sent_at": moment(clock.now()),
            "inventory": {"count": len(self.fleet), "digest": self.digest()},
            "instances_changed": rows,
            "health": {"status": "ok", "message": ""},
        } | members
        return self._send("POST", f"/federation/v1/sessions/{self.session}/heartbeat", said)

    def inventory(self, items: list[dict[str, Any]] | None = None, **members: Any) -> HttpResponse:
        made = self._send("POST", "/federation/v1/inventory/snapshots", {})
        assert made.status_code == 201, made.content
        place = f"/federation/v1/inventory/snapshots/{made.json()['snapshot_id']}"
        items = self.items() if items is None else items
        put = self._send("PUT", f"{place}/pages/1", {"instances": items})
        assert put.status_code == 204, put.content
        lines = [
            (one.get("id", one["external_id"]), one["version_id"], one["state"], one["generation"])
            for one in items
        ]
        return self._send(
            "POST", f"{place}/commit", {"count": len(items), "digest": fleet_digest(lines)} | members
        )

    def items(self) -> list[dict[str, Any]]:
        return [
            item(id, version, state, n, self.next_seq(), id=id)
            for id, (version, state, n) in self.fleet.items()
        ]

    def poll(self, *acks: str, **members: Any) -> HttpResponse:
        return self._send(
            "POST", "/federation/v1/poll", {"returnImmediately": True, "ack": list(acks)} | members
        )

    def status(self, command: Command, status: str, **members: Any) -> HttpResponse:
        said = {"epoch": self.epoch, "seq": self.next_seq(), "status": status} | members
        return self._send("POST", f"/federation/v1/commands/{command.typeid}/status", said)

    def statement(self, command: Command, **members: Any) -> bytes:
        said = {
            "subjects": {f"instances/{command.instance.typeid}": command.sha256},
            "predicate_type": ENFORCEMENT,
            "generation": command.generation,
            "state": command.to_state,
            "epoch": self.epoch,
        } | members
        return dsse.statement(
            subjects=said["subjects"],
            predicate_type=said["predicate_type"],
            predicate={
                "commandId": command.typeid,
                "generation": said["generation"],
                "observed": {"runState": said["state"]},
                "appliedAt": moment(clock.now()),
                "adapter": {"uid": "x", "epoch": said["epoch"], "seq": self.next_seq()},
            },
        )

    def proof(self, command: Command, key: Any = None, **members: Any) -> bytes:
        return dsse.sign(self.statement(command, **members), key=key or self.attest)

    def prove(self, command: Command, key: Any = None, **members: Any) -> HttpResponse:
        return self.send_proof(self.proof(command, key, **members))

    def send_proof(self, envelope: bytes) -> HttpResponse:
        return self._send("POST", "/federation/v1/attestations", envelope)

    def get(self, path: str) -> HttpResponse:
        return self._send("GET", path, None)

    def _send(self, method: str, path: str, said: Any, bearer: str = "", **headers: str) -> HttpResponse:
        data = said if isinstance(said, bytes) else b"" if said is None else json.dumps(said).encode()
        headers = {
            "Authorization": f"Bearer {bearer or self.token}",
            **({"ARM-Session": self.session} if self.session else {}),
            **headers,
        }
        return self.http.generic(method, path, data, content_type="application/json", headers=headers)  # type: ignore[no-any-return]


def item(
    external_id: str, version: str, state: str, generation: int, seq: int, **members: Any
) -> dict[str, Any]:
    return {
        "external_id": external_id,
        "version_id": version,
        "state": state,
        "generation": generation,
        "observed_at": moment(clock.now()),
        "seq": seq,
        **members,
    }


def adapter(tenant: Tenant | None = None) -> Adapter:
    """A provider's adapter whose client is registered, approved and signed in, with a session."""
    tenant = tenant or make.tenant("acme")
    return Adapter(federated(tenant=tenant), *people(tenant)).connected()


def settled() -> Adapter:
    """A connected adapter that runs one instance (`one`), which is at work, as is wanted and proven."""
    tenant = make.tenant("acme")
    made = Adapter(federated(tenant=tenant), *people(tenant))
    version = make.approved(template=make.template(tenant=tenant))
    made.one = make.instance(provider=made.provider, version=version, name="one")
    made.connected()
    made.runs(made.one)
    made.inventory()
    made.prove(newest(made.one))
    made.poll()
    return made


def signed_jwt(claims: Mapping[str, Any], key: Any) -> str:
    """As jwcrypto signs it."""
    held = jwk.JWK.from_pyca(key)
    header = {"alg": "ES256" if held["kty"] == "EC" else "EdDSA", "typ": "JWT"}
    token = jwt.JWT(header=header, claims=dict(claims))
    token.make_signed_token(held)
    return str(token.serialize())


def newest(instance: AgentInstance) -> Command:
    return Command.objects.filter(instance=instance).select_related("instance").latest("generation")
