"""Whatever an adapter sends is answered with a refusal that says what is wrong, and claims are on the record."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from arm.errors import Conflict
from arm.models import SecurityEvent
from federation import services
from federation.models import InstanceReport, Invite, Snapshot
from tests import make

from .provider import Adapter, item, newest, settled

pytestmark = pytest.mark.django_db
BEYOND = 2**31


@pytest.fixture
def cloud() -> Adapter:
    return settled()


def refusals() -> list[str]:
    return [row.detail["code"] for row in SecurityEvent.objects.filter(kind="refused")]


@pytest.mark.parametrize("bad", ["a\x00b", "a\ud800b"])
def test_a_text_that_nobody_can_store_is_malformed_wherever_it_stands(cloud, bad):
    command = newest(cloud.one)
    reason = {"code": "x", "message": bad}
    page = [item(bad, "v", "Active", 1, 1)]
    place = "/federation/v1/inventory/snapshots"
    snapshot = cloud._send("POST", place, {}).json()["snapshot_id"]
    answers = [
        cloud.heartbeat(health={"status": "ok", "message": bad}),
        cloud._send("PUT", f"{place}/{snapshot}/pages/1", {"instances": page}),
        cloud.poll(bad),
        cloud.poll(setErrs={bad: {"err": "x"}}),
        cloud.status(command, "failed", reason=reason),
        cloud.handshake(capabilities=["heartbeat", "inventory.full", bad]),
        cloud.register(Adapter.invite(another(cloud)).token, client_name=bad),
    ]
    assert [(one.status_code, one.json()["code"]) for one in answers] == [(400, "malformed")] * len(answers)


def another(cloud: Adapter) -> Adapter:
    place = make.provider("sky", kind="federated", tenant=cloud.provider.tenant)
    return Adapter(place, cloud.inviter, cloud.approver)


@pytest.mark.parametrize("bad", ["a" * 9 + "\x00", "a" * 9 + "\ud800"])
def test_a_claim_that_nobody_can_store_is_malformed(cloud, bad):
    head, _, signature = cloud.assertion().split(".")
    payload = json.dumps(cloud.claims(jti=bad)).encode()
    answer = cloud.ask_token(f"{head}.{_url(payload)}.{signature}")
    assert (answer.status_code, answer.json()["code"]) == (401, "assertion-malformed")


def _url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "when", ["2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z"]
)
def test_a_time_that_does_not_exist_is_named(cloud, when):
    for answer in (cloud.heartbeat(sent_at=when), cloud.handshake(sent_at=when)):
        assert answer.status_code == 422
        assert [one["pointer"] for one in answer.json()["errors"]] == ["/sent_at"]


def test_a_count_that_no_column_holds_is_named(cloud):
    command = newest(cloud.one)
    digest = cloud.digest()
    answers: list[tuple[Any, str]] = [
        (cloud.heartbeat(inventory={"count": BEYOND, "digest": digest}), "/inventory/count"),
        (cloud.status(command, "applying", in_flight=BEYOND), "/in_flight"),
        (cloud.inventory(count=BEYOND), "/count"),
    ]
    for answer, pointer in answers:
        assert answer.status_code == 422
        assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


def test_a_page_with_a_number_that_no_column_holds_is_not_found(cloud):
    place = "/federation/v1/inventory/snapshots"
    snapshot = cloud._send("POST", place, {}).json()["snapshot_id"]
    for number, status in ((BEYOND, 404), (10**30, 404), (BEYOND - 1, 204)):
        answer = cloud._send("PUT", f"{place}/{snapshot}/pages/{number}", {"instances": []})
        assert answer.status_code == status


# --- claims are on the record


def test_a_proof_of_a_session_that_was_fenced_off_is_on_the_record(cloud):
    proof, old = cloud.proof(newest(cloud.one)), cloud.session
    cloud.handshake()
    cloud.session = old
    assert cloud.send_proof(proof).status_code == 409
    assert refusals() == ["stale-session"]


def test_an_invitation_that_is_used_again_is_on_the_record_of_its_tenant(cloud):
    sky = another(cloud)
    token = sky.invite().token
    assert sky.register(token).status_code == 201
    assert sky.register(token).status_code == 409
    (event,) = SecurityEvent.objects.filter(kind="refused")
    assert event.tenant_id == cloud.provider.tenant_id
    assert event.detail["invite"] == Invite.objects.latest("pk").typeid


def test_a_failure_of_what_was_never_handed_out_changes_nothing(cloud):
    services.decide(instances=[cloud.one.pk], actor=None, reason_code="again", again=True)
    command = newest(cloud.one)
    said = cloud.status(command, "failed", reason={"code": "x", "message": "y"}).json()
    assert said == {"state": "available", "terminal": False}
    command.refresh_from_db()
    assert (command.acked_at, command.applying_at, command.finished_at, command.error_code) == (None,) * 3 + (
        "",
    )


# --- inventories


def test_a_later_inventory_ends_the_one_that_was_held(cloud):
    more = [item(f"job-{n}", "v", "Active", 1, n + 10) for n in range(8)]
    assert cloud.inventory([*cloud.items(), *more]).status_code == 200
    assert cloud.inventory().status_code == 202
    held = Snapshot.objects.latest("pk")
    assert cloud.inventory([*cloud.items(), *more]).status_code == 200
    held.refresh_from_db()
    assert held.state == "ended"
    with pytest.raises(Conflict, match="later inventory"):
        services.release_snapshot(snapshot=held, actor=cloud.approver, reason="They were moved.")
    assert not InstanceReport.objects.filter(missing=True).exists()


def test_a_line_that_is_rejected_leaves_the_digest_of_the_others_good(cloud):
    elsewhere = make.instance(provider=make.provider(tenant=cloud.provider.tenant))
    cloud.runs(elsewhere)
    assert [one["pointer"] for one in cloud.inventory().json()["rejected"]] == ["/1/id"]
    assert InstanceReport.objects.unregistered().get().external_id == elsewhere.typeid
    assert "report_full_inventory" not in cloud.heartbeat().json()["flags"]
    cloud.runs(elsewhere, "Paused")
    cloud.inventory()
    assert "report_full_inventory" not in cloud.heartbeat().json()["flags"]


def test_a_name_that_stands_for_another_instance_now_leaves_the_digest_good(cloud):
    two = make.instance(provider=cloud.provider, version=cloud.one.version)
    first = item("job", cloud.one.version.typeid, "Active", 1, 50, id=cloud.one.typeid)
    assert cloud.inventory([first]).json()["rejected"] == []
    cloud.fleet.clear()
    cloud.runs(two)
    for seq in (60, 70):
        renamed = item("job", two.version.typeid, "Active", 1, seq, id=two.typeid)
        assert cloud.inventory([renamed]).status_code == 200
        assert InstanceReport.objects.get(instance=cloud.one).missing
        assert "report_full_inventory" not in cloud.heartbeat().json()["flags"]
