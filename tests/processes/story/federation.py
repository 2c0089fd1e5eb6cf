"""A real adapter beside the real product: a stop reaches it with worker and signer asleep, and only proof is believed."""

import re
import signal
import sys
import time
from urllib.error import HTTPError

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwcrypto import jwk, jws
from jwcrypto.common import JWException

from .stage import POLL, SDK, SIGNER, WORKER, Forms, Stage, until

sys.path.insert(0, str(SDK))

from arm_adapter import config, crypto
from arm_adapter.connection import Connection
from arm_adapter.runtime import Instance
from arm_adapter.store import Order, Store
from arm_adapter.trust import Trust


def an_adapter_is_invited_by_one_person_and_let_in_by_another(stage: Stage) -> None:
    """Invited by Judy, registered by the adapter, approved by Bob, all through pages and processes."""
    cloud, judy, bob = stage.cloud, Forms(stage.url, "judy"), Forms(stage.url, "bob")
    page = judy.fill(f"/federation/providers/{stage.facts['provider']}/invite/", reason="A new cloud.")
    (token,) = set(re.findall(r"armr_\w{42}", page))
    registered = cloud.call("register", ARM_REGISTRATION_TOKEN=token)
    assert registered.returncode == 0, registered.stderr
    (client,) = set(re.findall(r"pcl_\w{26}", registered.stdout))
    assert cloud.call("register", ARM_REGISTRATION_TOKEN=token).returncode == 1  # used
    approval = f"/federation/clients/{client}/approve/"
    for key in re.findall(r"(?:auth|attest) +(\S{43})", registered.stdout):
        assert key in bob.see(approval)
    with pytest.raises(HTTPError) as refusal:
        judy.fill(approval, reason="Mine.", compared="on")
    assert "does not approve" in refusal.value.read().decode()
    assert "Registered" in bob.fill(approval, reason="Compared by telephone.", compared="on")
    cloud.start()


def shown(stage: Stage, instance: str, wanted: str, seconds: float = 30) -> str:
    """The head of the instance's page, once it says this."""
    bob = Forms(stage.url, "bob")
    until(
        lambda: wanted in bob.head_of(instance),
        lambda: f"{bob.head_of(instance)} {stage.cloud.log}",
        seconds,
    )
    return bob.head_of(instance)


def quarantine(stage: Stage, instance: str) -> None:
    said = {"to": "quarantined", "reason": "It misbehaves."}
    status, answer = stage.api(f"registry/instances/{instance}/move/", "dan", said)
    assert status == 200, answer


def the_adapter_reports_its_fleet_and_proves_that_it_is_at_work(stage: Stage) -> None:
    one, _ = stage.facts["elsewhere"]
    shown(stage, one, "Active (attested)")
    listed = Forms(stage.url, "bob").see("/registry/instances/")
    assert listed.count("(attested)") >= 1 and "Cloud" in listed


def a_stop_reaches_the_adapter_with_worker_and_signer_asleep_and_is_proven(stage: Stage) -> None:
    one, _ = stage.facts["elsewhere"]
    bob, seen = Forms(stage.url, "bob"), set()

    def proven() -> bool:
        seen.add(re.sub(r"\d+ s", "n s", bob.head_of(one)))
        return "Quarantined (attested)" in bob.head_of(one)

    with stage.asleep(WORKER, SIGNER):
        before = time.monotonic()
        quarantine(stage, one)
        until(proven, lambda: f"{bob.head_of(one)} {stage.cloud.log}", 15)
        took = time.monotonic() - before
        assert stage.cloud.state_of(one) == "Quarantined"
        assert took < 10, f"{took:.1f} s"
    with psycopg.connect(stage.running.superuser_url) as connection:
        state, decided, delivered, acked, attested = connection.execute(
            "SELECT c.state, decided_at, delivered_at, acked_at, attested_at FROM federation_command c"
            " JOIN registry_agentinstance i ON i.id = c.instance_id WHERE i.name = 'desk-1'"
            " ORDER BY c.generation DESC LIMIT 1"
        ).fetchone()
    assert state == "enforced" and decided < delivered <= acked <= attested
    within = (delivered - decided).total_seconds()
    assert within <= POLL + 1, "a polling adapter has it within its interval and a second"
    assert all("Quarantined" not in words.split(" (")[0] or "attested" in words for words in seen), seen
    page = bob.see(f"/registry/instances/{one}/")
    for word in ("Desired", "Reported", "Attested", "Delivered", "Acknowledged"):
        assert word in page


def an_instance_that_is_started_again_behind_our_back_is_seen_and_stopped_again(stage: Stage) -> None:
    one, _ = stage.facts["elsewhere"]
    stage.cloud.lose(one)
    until(lambda: stage.cloud.state_of(one) == "Quarantined", lambda: stage.cloud.log)
    shown(stage, one, "Quarantined (attested)")
    assert "went back behind" in Forms(stage.url, "bob").see("/incidents/")


def a_killed_adapter_leaves_unknown_with_its_age(stage: Stage) -> None:
    stage.cloud.kill()
    for instance in stage.facts["elsewhere"]:
        assert re.search(r"Unknown \d+ (s|min)", shown(stage, instance, "Unknown"))


def a_forged_proof_leaves_quarantining(stage: Stage) -> None:
    """The adapter is dead; somebody who has its way in, but not its attest key, claims that it obeyed."""
    _, two = stage.facts["elsewhere"]
    quarantine(stage, two)
    settings = config.read(stage.cloud.config)
    keys = crypto.Keys(settings.state)
    store = Store(settings.state / "store.sqlite")
    link = Connection(settings, keys, store.fact("client_id"), Trust(store))
    link.discover()
    link.handshake()
    said = link.http.get(
        f"{link.places['desired_endpoint']}/{two}",
        {"Authorization": f"Bearer {link.token}", "ARM-Session": link.session},
    )
    wanted, number = said["desired"], said["generation"]
    jose_verifies(link, wanted["command_id"])
    order = Order(
        two, number, said["sha256"], wanted["command_id"], wanted, wanted["issued_at"], False, False
    )
    claimed = Instance("job-1", two, stage.facts["version"], "Quarantined")
    keys.attest = Ed25519PrivateKey.generate()
    answer = link.attest(claimed, order)
    assert (answer["ok"], answer["code"]) == (False, "signature-invalid")
    running = Instance("job-1", two, stage.facts["version"], "Active")
    link.heartbeat([], [(running, number - 1)], ("ok", ""))
    shown(stage, two, "Quarantining")
    assert "signature-invalid" in Forms(stage.url, "bob").see(f"/registry/instances/{two}/")
    refused = "SELECT count(*) FROM arm_securityevent WHERE kind = 'refused' AND label LIKE 'federation%%' AND detail->>'code' = %s"
    assert stage.database(refused, "signature-invalid")


def jose_verifies(link: Connection, command: str) -> None:
    """The command as it is on the wire, verified by a library that neither ARM nor its adapter uses."""
    sets = link.poll([], {})["sets"]
    compact = next(one for one in sets.values() if command in _payload(one))
    token = jws.JWS()
    token.deserialize(compact)
    key = jwk.JWK(**link.key(token.jose_header["kid"]))
    token.verify(key)
    head, payload, signature = compact.split(".")
    other = jws.base64url_encode(_payload(compact).replace("Quarantined", "Active"))
    assert other != payload
    changed = jws.JWS()
    changed.deserialize(f"{head}.{other}.{signature}")
    with pytest.raises(JWException):
        changed.verify(key)


def _payload(compact: str) -> str:
    return jws.base64url_decode(compact.split(".")[1]).decode()


def started_again_the_adapter_does_what_it_missed_and_says_goodbye_when_it_is_told_to_stop(
    stage: Stage,
) -> None:
    cloud = stage.cloud
    cloud.start()
    for instance in reversed(stage.facts["elsewhere"]):
        shown(stage, instance, "Quarantined (attested)")
    assert cloud.process is not None
    cloud.process.send_signal(signal.SIGTERM)
    assert cloud.process.wait(20) == 0
    assert "said goodbye" in cloud.log


STEPS = [
    an_adapter_is_invited_by_one_person_and_let_in_by_another,
    the_adapter_reports_its_fleet_and_proves_that_it_is_at_work,
    a_stop_reaches_the_adapter_with_worker_and_signer_asleep_and_is_proven,
    an_instance_that_is_started_again_behind_our_back_is_seen_and_stopped_again,
    a_killed_adapter_leaves_unknown_with_its_age,
    a_forged_proof_leaves_quarantining,
    started_again_the_adapter_does_what_it_missed_and_says_goodbye_when_it_is_told_to_stop,
]
