"""The adapter's side of the wire: discovery, registration, tokens, the session, and each message in its shape."""

import hashlib
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from . import NAME, VERSION
from .config import Config
from .crypto import Keys, thumbprint
from .http import Http, Refused
from .runtime import Instance
from .trust import Trust

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = "federation:control inventory:write attest:write"
CAPABILITIES = [
    "heartbeat", "inventory.full", "state.drain", "state.pause", "state.readonly", "state.quarantine", "state.retire",
    "attest.signed",
]  # fmt: skip
PAGE = 500


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fleet_digest(lines: list[tuple[str, str, str, int]]) -> str:
    written = sorted(f"{id}|{version}|{state}|{n}\n".encode() for id, version, state, n in lines)
    return "sha256:" + hashlib.sha256(b"".join(written)).hexdigest()


class Connection:
    """Everything that is asked of ARM. Raises Refused, Unreachable and NotTrusted; a token that has ended is renewed
    once."""

    def __init__(self, config: Config, keys: Keys, client_id: str, trust: Trust) -> None:
        self.trust = trust
        self.config, self.keys, self.client_id, self.http = config, keys, client_id, Http()
        self.uid = str(uuid.uuid4())
        self.places: dict[str, Any] = {}
        self.jwks: dict[str, dict[str, Any]] = {}
        self.token, self.token_ends = "", 0.0
        self.session, self.epoch, self.beat, self.seq = "", 0, 0, 0

    # --- the way in

    def discover(self) -> None:
        """Where everything is."""
        self.places = self.http.get(f"{self.config.url}/.well-known/arm-federation")

    def meet(self) -> None:
        """As discover, of the ARM that is known, whose keys are read as well. NotTrusted."""
        self.discover()
        self.trust.meet(self.config.url, self.places["issuer"])
        self._read_keys()

    def listed(self) -> list[dict[str, Any]]:
        """The signing keys that ARM lists now."""
        return list(self.http.get(self.places["jwks_uri"])["keys"])

    def register(self, token: str) -> dict[str, Any]:
        self.discover()
        said = {
            "client_name": self.config.client_name,
            "jwks": {"keys": self.keys.public()},
            "token_endpoint_auth_method": "private_key_jwt",
            "scope": SCOPE,
            "software_id": NAME,
            "software_version": VERSION,
            "contacts": list(self.config.contacts),
            "arm_capabilities": CAPABILITIES,
        }
        bearer = {"Authorization": f"Bearer {token}"}
        answer: dict[str, Any] = self.http.send("POST", self.places["registration_endpoint"], said, bearer)
        return answer

    def sign_in(self) -> None:
        place = self.places["token_endpoint"]
        answer = self.http.form(
            place,
            {
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION,
                "client_assertion": self.keys.assertion(self.client_id, place),
                "scope": SCOPE,
            },
        )
        self.token = answer["access_token"]
        self.token_ends = time.monotonic() + answer["expires_in"] - 60

    def handshake(self) -> dict[str, Any]:
        """A new epoch: whoever else spoke for the provider until now is fenced off."""
        self.session = ""
        said = {
            "adapter_uid": self.uid,
            "protocol_versions": ["1.0"],
            "adapter": {"name": NAME, "version": VERSION},
            "capabilities": CAPABILITIES,
            "sent_at": now(),
            "attest_kid": thumbprint(self.keys.attest_jwk),
        }
        answer: dict[str, Any] = self._send("POST", self.places["session_endpoint"], said)
        self.session, self.epoch, self.beat, self.seq = answer["session_id"], answer["epoch"], 0, 0
        return answer

    def goodbye(self) -> None:
        if self.session:
            self._send("DELETE", f"{self.places['session_endpoint']}/{self.session}", b"")

    def key(self, kid: str) -> dict[str, Any] | None:
        """ARM's public key of this name; the list is fetched anew once where it is not known. NotTrusted where the list
        has nothing in common with what is known."""
        if kid not in self.jwks:
            self._read_keys()
        return self.jwks.get(kid)

    def _read_keys(self) -> None:
        self.jwks = {}
        keys = self.listed()
        self.trust.renew(keys)
        self.jwks = {one["kid"]: one for one in keys}

    # --- messages

    def heartbeat(
        self, fleet: list[tuple[Instance, int]], changed: list[tuple[Instance, int]], health: tuple[str, str]
    ) -> dict[str, Any]:
        self.beat += 1
        said = {
            "epoch": self.epoch,
            "seq": self.beat,
            "sent_at": now(),
            "inventory": {"count": len(fleet), "digest": fleet_digest([_line(*one) for one in fleet])},
            "instances_changed": [
                {
                    "id": one.id,
                    "version_id": one.version_id,
                    "state": one.state,
                    "generation": n,
                    "seq": self._next(),
                }
                for one, n in changed
            ],
            "health": {"status": health[0], "message": health[1][:500]},
        }
        answer: dict[str, Any] = self._send(
            "POST", f"{self.places['session_endpoint']}/{self.session}/heartbeat", said
        )
        return answer

    def inventory(self, fleet: list[tuple[Instance, int]]) -> dict[str, Any]:
        """The whole fleet, page by page, and the digest that closes it."""
        begun = self._send("POST", self.places["inventory_endpoint"], {})
        place = f"{self.places['inventory_endpoint']}/{begun['snapshot_id']}"
        items = [
            {
                "external_id": one.external_id,
                **({"id": one.id} if one.id else {}),
                "version_id": one.version_id,
                "state": one.state,
                "generation": n,
                "observed_at": now(),
                "seq": self._next(),
            }
            for one, n in fleet
        ]
        for number, start in enumerate(range(0, max(len(items), 1), PAGE), 1):
            self._send("PUT", f"{place}/pages/{number}", {"instances": items[start : start + PAGE]})
        digest = fleet_digest([_line(*one) for one in fleet])
        answer: dict[str, Any] = self._send(
            "POST", f"{place}/commit", {"count": len(items), "digest": digest}
        )
        return answer

    def poll(self, acks: list[str], errors: dict[str, dict[str, str]]) -> dict[str, Any]:
        said = {"returnImmediately": True, "ack": acks, "setErrs": errors}
        answer: dict[str, Any] = self._send("POST", self.places["poll_endpoint"], said)
        return answer

    def status(self, command: str, status: str, code: str, message: str) -> None:
        said = {"epoch": self.epoch, "seq": self._next(), "status": status}
        reason = {"reason": {"code": code, "message": message[:500]}} if code else {}
        self._send("POST", f"{self.places['command_endpoint']}/{command}/status", said | reason)

    def attest(self, instance: Instance, order: Any) -> dict[str, Any]:
        predicate = {
            "commandId": order.command,
            "generation": order.generation,
            "observed": {"runState": instance.state, "versionId": instance.version_id},
            "appliedAt": order.applied_at,
            "method": ["runtime"],
            "adapter": {"uid": self.uid, "epoch": self.epoch, "seq": self._next(), "version": VERSION},
        }
        envelope = self.keys.attestation(f"instances/{order.instance}", order.sha256, predicate)
        answer: dict[str, Any] = self._send("POST", self.places["attestation_endpoint"], envelope)
        return answer

    def _next(self) -> int:
        self.seq += 1
        return self.seq

    def _send(self, method: str, url: str, said: Any) -> Any:
        if time.monotonic() > self.token_ends:
            self.sign_in()
        try:
            return self._once(method, url, said)
        except Refused as refusal:
            if refusal.status != 401:
                raise
        self.sign_in()
        return self._once(method, url, said)

    def _once(self, method: str, url: str, said: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "ARM-Protocol-Version": "1.0"}
        if self.session:
            headers["ARM-Session"] = self.session
        return self.http.send(method, url, said, headers)


def _line(instance: Instance, generation: int) -> tuple[str, str, str, int]:
    return instance.id or instance.external_id, instance.version_id, instance.state, generation
