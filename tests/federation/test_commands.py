"""A stop is a signed statement of what is wanted, handed out until it is acknowledged, and believed when it is proven."""

import json
from datetime import timedelta

import pytest
from jwcrypto import jwk, jws
from jwcrypto.common import JWException

from arm import clock, db
from arm.errors import Conflict
from arm.models import ChangeRecord, SecurityEvent
from evidence.signing import dsse, keys
from federation.models import Attestation, Command, Desired, InstanceReport
from federation.protocol.documents import CHANGED, SESSION_REVOKED
from federation.protocol.reading import fitting
from federation.services import follow_stops, sweep_overdue
from policy import services as policy
from policy.engine import Mode
from registry import queries
from registry import services as registry
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus
from telemetry.models import Incident
from tests import make

from .provider import Adapter, newest, settled

pytestmark = pytest.mark.django_db


@pytest.fixture
def cloud() -> Adapter:
    return settled()


def stop(
    cloud: Adapter, to: InstanceState = InstanceState.QUARANTINED, one: AgentInstance | None = None
) -> Command:
    one = one or cloud.one
    registry.restrict_instance(instance=one, to=to, actor=cloud.inviter, reason="It misbehaves.")
    return newest(one)


def state_of(cloud: Adapter) -> str:
    return InstanceStatus.objects.get(instance=cloud.one).state


def certainty(cloud: Adapter) -> str:
    rows = AgentInstance.objects.for_list().filter(pk=cloud.one.pk)
    return queries.with_staleness(rows)[0][0].certainty


# --- the event


def test_the_event_is_verified_by_another_library_and_a_tampered_copy_refused(cloud):
    command = stop(cloud)
    token = cloud.poll().json()["sets"][command.jti]
    (key,) = cloud.http.get("/.well-known/jwks.json").json()["keys"]
    read = jws.JWS()
    read.deserialize(token, jwk.JWK(**key))
    head, claims = json.loads(read.objects["protected"]), json.loads(read.payload)
    assert (head["typ"], head["alg"], head["kid"]) == ("secevent+jwt", "ES256", key["kid"])
    assert (claims["iss"], claims["aud"]) == ("http://testserver", cloud.client.typeid)
    assert "exp" not in claims  # RFC 8417: an event does not end
    event = fitting(claims["events"][CHANGED], "desired-state-changed")
    assert event["desired"]["run_state"] == "Quarantined" and event["generation"] == command.generation
    assert event["desired"]["allow"] == {"new_work": False, "side_effects": False, "spawn": False}
    assert SESSION_REVOKED in claims["events"]
    first, second, third = token.split(".")
    for bad in (f"{first}.{second[:-4]}AAAA.{third}", f"{first}.{second}.{third[:-6]}AAAAAA"):
        with pytest.raises(JWException):
            jws.JWS().deserialize(bad, jwk.JWK(**key))


def test_the_digest_is_that_of_the_document_as_anybody_writes_canonical_json(cloud):
    command = stop(cloud)
    item = cloud.get(f"/federation/v1/desired/{cloud.one.typeid}").json()
    written = json.dumps(item["desired"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert written == bytes(command.document) and item["sha256"] == command.sha256
    assert cloud.get("/federation/v1/desired").json()["items"] == [item]


def test_letting_work_again_revokes_no_session(cloud):
    pause = policy.set_posture(scope=cloud.one, mode=Mode.PAUSED, actor=cloud.inviter, reason="A while.")
    policy.lift_posture(posture=pause, actor=cloud.inviter, reason="Done.")
    command = newest(cloud.one)
    assert not command.restrictive
    token = cloud.poll().json()["sets"][command.jti]
    payload = jws.JWS.from_jose_token(token).objects["payload"]
    assert SESSION_REVOKED not in json.loads(payload)["events"]


# --- delivery


def test_what_is_not_acknowledged_is_handed_out_again_after_its_lease(cloud):
    command = stop(cloud)
    assert list(cloud.poll().json()["sets"]) == [command.jti]
    assert cloud.poll().json()["sets"] == {}
    with clock.at(clock.now() + timedelta(seconds=16)):
        assert list(cloud.poll().json()["sets"]) == [command.jti]
        assert newest(cloud.one).delivery_count == 2
    cloud.poll(command.jti)
    with clock.at(clock.now() + timedelta(seconds=40)):
        assert cloud.poll().json()["sets"] == {}
    assert newest(cloud.one).state == "acked"


def test_nothing_is_handed_out_where_only_an_acknowledgement_was_sent(cloud):
    stop(cloud)
    assert cloud.poll(maxEvents=0).json() == {"sets": {}, "moreAvailable": True}


def test_an_empty_answer_says_when_to_come_again(cloud):
    assert cloud.poll()["Retry-After"] == "10"


def test_acknowledgements_of_others_and_of_what_has_ended_change_nothing(cloud):
    command = stop(cloud)
    cloud.poll()
    cloud.prove(command)
    assert cloud.poll(command.jti, "set_of_somebody").status_code == 200
    assert newest(cloud.one).state == "enforced"


def test_a_later_wish_supersedes_the_earlier_command(cloud):
    first = stop(cloud, InstanceState.PAUSED)
    cloud.poll()
    second = stop(cloud)
    first.refresh_from_db()
    assert (first.state, second.state) == ("superseded", "available")
    assert second.generation == first.generation + 1
    assert list(cloud.poll().json()["sets"]) == [second.jti]


def test_a_refused_event_ends_its_command_and_opens_an_incident(cloud):
    command = stop(cloud)
    cloud.poll()
    cloud.poll(setErrs={command.jti: {"err": "unsupported", "description": "No brakes."}})
    command.refresh_from_db()
    assert (command.state, command.error_code) == ("rejected", "unsupported")
    assert Incident.objects.get().kind == "enforcement_failure"
    assert ChangeRecord.objects.filter(verb="federation.command.refused").count() == 1


def test_progress_is_heard_and_a_failure_is_final(cloud):
    command = stop(cloud)
    cloud.poll()
    assert cloud.status(command, "applying", progress=40, in_flight=2).json() == {
        "state": "applying",
        "terminal": False,
    }
    assert cloud.status(command, "failed").status_code == 422  # a failure says why
    said = cloud.status(command, "failed", reason={"code": "stuck", "message": "It hangs."}).json()
    assert said == {"state": "failed", "terminal": True}
    cloud.prove(command)
    assert newest(cloud.one).state == "failed"


def test_a_capability_that_was_not_declared_makes_a_command_undeliverable_and_people_hear_of_it(cloud):
    cloud.handshake(capabilities=["heartbeat", "inventory.full", "state.pause"])
    command = stop(cloud)
    assert (command.state, command.error_code) == ("undeliverable", "capability")
    assert cloud.poll().json()["sets"] == {}
    incident = Incident.objects.get()
    assert (incident.kind, incident.severity, incident.instance) == ("enforcement_failure", "s1", cloud.one)
    assert "state.quarantine" in ChangeRecord.objects.get(verb="federation.command.refused").after["said"]


def test_commands_of_another_provider_are_not_seen(cloud):
    command = stop(cloud)
    foreign = make.of_a_provider(make.instance(provider=make.provider(tenant=cloud.provider.tenant)))[3]
    assert cloud.status(foreign, "applying").status_code == 404
    assert list(cloud.poll().json()["sets"]) == [command.jti]


# --- proof


def test_a_proof_enforces_its_command_and_only_then_the_page_says_quarantined(cloud):
    command = stop(cloud)
    assert state_of(cloud) == "active"
    cloud.poll()
    cloud.poll(command.jti)
    cloud.runs(cloud.one, "Quarantined", command.generation)
    cloud.heartbeat(cloud.one)
    assert state_of(cloud) == "active", "it only says so"
    assert certainty(cloud) == "reported"
    answer = cloud.prove(command)
    assert answer.status_code == 201 and answer.json()["ok"] and answer.json()["level"] == "E2"
    command.refresh_from_db()
    assert (command.state, state_of(cloud), certainty(cloud)) == ("enforced", "quarantined", "attested")
    marks = [
        command.decided_at,
        command.available_at,
        command.delivered_at,
        command.acked_at,
        command.attested_at,
    ]
    assert marks == sorted(marks) and command.applied_at
    assert ChangeRecord.objects.filter(verb="federation.command.enforced", target_id=command.pk).exists()


def test_a_proof_implies_the_acknowledgement_that_was_lost(cloud):
    command = stop(cloud)
    cloud.poll()
    cloud.prove(command)
    command.refresh_from_db()
    assert command.state == "enforced" and command.acked_at


def test_the_same_proof_sent_again_is_answered_as_it_was(cloud):
    command = stop(cloud)
    envelope = cloud.proof(command)
    first, again = cloud.send_proof(envelope), cloud.send_proof(envelope)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


BAD = [
    ("signature-invalid", lambda cloud, command: cloud.proof(command, keys.generate("Ed25519"))),
    ("signature-invalid", lambda cloud, command: cloud.proof(command, cloud.auth)),
    ("signature-invalid", lambda cloud, command: resealed(cloud.proof(command), cloud.proof(command))),
    ("digest-mismatch", lambda cloud, command: cloud.proof(command, subjects={f"instances/{cloud.one.typeid}": "0" * 64})),
    ("stale-generation", lambda cloud, command: cloud.proof(command, generation=command.generation - 1)),
    ("stale-session", lambda cloud, command: cloud.proof(command, epoch=cloud.epoch + 1)),
    ("state-mismatch", lambda cloud, command: cloud.proof(command, state="Paused")),
    ("predicate-unknown", lambda cloud, command: cloud.proof(command, predicate_type="https://arm.example/other")),
    ("subject-unknown", lambda cloud, command: cloud.proof(command, subjects={"instances/ins_01jd0000000000000000000000": command.sha256})),
    ("subject-unknown", lambda cloud, command: cloud.proof(command, subjects={"a": command.sha256, "b": command.sha256})),
]  # fmt: skip


def resealed(one: bytes, other: bytes) -> bytes:
    return json.dumps(json.loads(one) | {"signatures": json.loads(other)["signatures"]}).encode()


@pytest.mark.parametrize(("code", "forge"), BAD)
def test_a_forged_proof_is_kept_recorded_and_enforces_nothing(cloud, code, forge):
    command = stop(cloud)
    answer = cloud.send_proof(forge(cloud, command))
    assert (answer.status_code, answer.json()["ok"], answer.json()["code"]) == (200, False, code)
    command.refresh_from_db()
    assert (command.state, state_of(cloud)) == ("available", "active")
    assert Attestation.objects.get(ok=False).code == code
    assert SecurityEvent.objects.get(kind="refused").detail["code"] == code


def test_a_proof_of_another_provider_s_instance_is_of_nobody_known(cloud):
    elsewhere = make.instance(provider=make.provider(tenant=cloud.provider.tenant))
    foreign = make.of_a_provider(elsewhere)[3]
    assert cloud.prove(foreign).json()["code"] == "subject-unknown"


@pytest.mark.parametrize(
    "bad", [b"", b"[]", b"{}", b'{"payloadType": "x", "payload": "!", "signatures": []}']
)
def test_what_is_no_envelope_is_malformed_and_not_kept(cloud, bad):
    kept = Attestation.objects.count()
    answer = cloud.send_proof(bad)
    assert (answer.status_code, answer.json()["code"]) == (400, "envelope-malformed")
    assert Attestation.objects.count() == kept


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"observed": {}}, "runState"),
        ({"appliedAt": "2026-99-99T00:00:00Z"}, "/appliedAt"),
        ({"appliedAt": "0001-01-01T00:00:00+23:59"}, "/appliedAt"),
        ({"method": ["a\x00b"]}, "NUL"),
        ({"method": ["a\ud800b"]}, "surrogate"),
    ],
)
def test_a_proof_whose_predicate_is_wrong_is_kept_recorded_and_named(cloud, members, said):
    command = stop(cloud)
    statement = json.loads(cloud.statement(command))
    statement["predicate"] |= members
    answer = cloud.send_proof(dsse.sign(json.dumps(statement).encode(), key=cloud.attest))
    assert (answer.status_code, answer.json()["code"]) == (200, "predicate-malformed")
    assert said in answer.json()["checks"][-1]["detail"]
    assert Attestation.objects.get(ok=False).command_id == command.pk
    assert SecurityEvent.objects.get(kind="refused").detail["code"] == "predicate-malformed"
    assert newest(cloud.one).state == "available"


@pytest.mark.parametrize("bad", ["x\x00y", "x\ud800y"])
def test_texts_that_nobody_can_store_are_written_as_escapes_where_they_are_kept(cloud, bad):
    command = stop(cloud)
    statement = json.loads(cloud.statement(command)) | {"predicateType": bad}
    answer = cloud.send_proof(dsse.sign(json.dumps(statement).encode(), key=cloud.attest))
    assert answer.json()["code"] == "predicate-unknown"
    assert "x\\u" in Attestation.objects.get(ok=False).checks[1]["detail"]


def test_a_proof_of_what_was_wanted_before_proves_nothing_now(cloud):
    first = stop(cloud, InstanceState.PAUSED)
    second = stop(cloud)
    answer = cloud.prove(first)
    assert answer.json()["code"] == "stale-generation"
    assert Command.objects.get(pk=second.pk).state == "available"


# --- going back


def test_a_later_word_behind_what_was_proven_opens_an_incident_and_the_command_is_given_again(cloud):
    command = stop(cloud)
    cloud.prove(command)
    cloud.runs(cloud.one, "Active", command.generation - 1)
    cloud.heartbeat(cloud.one)
    again = newest(cloud.one)
    assert again.generation == command.generation + 1 and again.state == "available"
    assert again.to_state == "Quarantined"
    assert state_of(cloud) == "active" and certainty(cloud) == "reported"
    assert Incident.objects.get().facts["said"] == f"Active, generation {command.generation - 1}"
    assert InstanceReport.objects.get().regressed_at


def test_a_milder_state_of_the_same_generation_is_going_back_too(cloud):
    command = stop(cloud)
    cloud.prove(command)
    cloud.runs(cloud.one, "Active", command.generation)
    cloud.heartbeat(cloud.one)
    assert Incident.objects.count() == 1 and newest(cloud.one).generation > command.generation


# --- what is wanted


def test_a_stop_above_an_instance_is_told_and_its_end_as_well(cloud):
    posture = policy.set_posture(
        scope=cloud.provider, mode=Mode.PAUSED, actor=cloud.inviter, reason="Maintenance."
    )
    command = newest(cloud.one)
    assert (command.to_state, command.restrictive) == ("Paused", True)
    cloud.prove(command)
    assert certainty(cloud) == "Paused by a stop, attested"
    policy.lift_posture(posture=posture, actor=cloud.inviter, reason="Done.")
    assert newest(cloud.one).to_state == "Active"


def test_the_severest_of_state_and_stops_is_wanted_and_only_what_both_allow(cloud):
    stop(cloud, InstanceState.READ_ONLY)
    policy.set_posture(scope=cloud.provider, mode=Mode.DRAINING, actor=cloud.inviter, reason="Maintenance.")
    said = json.loads(bytes(newest(cloud.one).document))
    assert (said["run_state"], said["allow"]["new_work"]) == ("ReadOnly", False)


def test_a_stop_that_ends_by_time_is_told_by_the_sweep(cloud):
    until = clock.now() + timedelta(minutes=5)
    policy.set_posture(scope=cloud.one, mode=Mode.PAUSED, actor=cloud.inviter, reason="A while.", until=until)
    assert newest(cloud.one).to_state == "Paused"
    assert follow_stops(tenant_id=cloud.provider.tenant_id) == 0
    with clock.at(until + timedelta(seconds=1)):
        assert follow_stops(tenant_id=cloud.provider.tenant_id) == 1
    assert newest(cloud.one).to_state == "Active"


def test_a_stop_of_one_tool_is_not_the_provider_s_business(cloud):
    before = newest(cloud.one)
    policy.set_posture(
        scope=cloud.provider, mode=Mode.PAUSED, tool="payment", actor=cloud.inviter, reason="x"
    )
    assert newest(cloud.one) == before


def test_local_instances_and_providers_without_a_client_get_no_commands(cloud):
    local = make.instance(provider=make.provider(tenant=cloud.provider.tenant))
    registry.restrict_instance(instance=local, to=InstanceState.PAUSED, actor=cloud.inviter, reason="x")
    assert not Command.objects.filter(instance=local).exists()
    assert not Desired.objects.filter(instance=local).exists()


def test_a_stop_that_is_undone_leaves_no_command(cloud):
    before = newest(cloud.one)
    with pytest.raises(RuntimeError), db.tenants([cloud.provider.tenant_id]):
        stop(cloud)
        raise RuntimeError("the transaction fails")
    assert newest(cloud.one) == before


def test_a_restriction_that_is_not_proven_in_a_minute_opens_one_incident(cloud):
    stop(cloud)
    assert sweep_overdue(tenant_id=cloud.provider.tenant_id) == 0
    with clock.at(clock.now() + timedelta(seconds=61)):
        assert sweep_overdue(tenant_id=cloud.provider.tenant_id) == 1
        assert sweep_overdue(tenant_id=cloud.provider.tenant_id) == 0
    assert "not proven in time" in Incident.objects.get().title


def test_an_instance_cannot_say_itself_that_it_is_held_back(cloud):
    """What a provider's instances are is what its adapter has proven: a sign of life says that it lives, no more."""
    stop(cloud)
    with pytest.raises(Conflict, match="says in which state"):
        registry.heartbeat(instance=cloud.one, state="quarantined", generation=99)
    status = InstanceStatus.objects.get(instance=cloud.one)
    assert status.state != "quarantined"
    before = status.heartbeat_at
    registry.heartbeat(instance=cloud.one)
    status.refresh_from_db()
    assert status.heartbeat_at > before and status.state != "quarantined"
