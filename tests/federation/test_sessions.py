"""Only the newest handshake writes; a heartbeat is answered however often it comes; digests confirm the whole fleet."""

from datetime import timedelta

import pytest

from arm import clock
from federation.models import AdapterSession, InstanceReport, Snapshot
from federation.protocol.documents import fleet_digest
from federation.services import release_snapshot
from registry.models import AgentInstance, InstanceStatus
from telemetry.models import Incident
from tests import make

from .provider import Adapter, adapter, item

pytestmark = pytest.mark.django_db


@pytest.fixture
def cloud() -> Adapter:
    return adapter()


def instance(cloud: Adapter, **kw) -> AgentInstance:
    return make.instance(
        provider=cloud.provider,
        version=make.approved(template=make.template(tenant=cloud.provider.tenant)),
        **kw,
    )


def test_the_handshake_chooses_the_version_that_both_speak(cloud):
    assert cloud.handshake().json()["protocol_version"] == "1.0"
    answer = cloud.handshake(protocol_versions=["2.0"])
    assert (answer.status_code, answer.json()["code"]) == (400, "unsupported-version")
    assert answer.json()["supported"] == ["1.0"]


def test_each_handshake_grows_the_epoch_and_fences_the_one_before(cloud):
    old, first = cloud.session, cloud.epoch
    cloud.handshake()
    assert cloud.epoch == first + 1
    cloud.session = old
    for answer in (
        cloud.heartbeat(),
        cloud.poll(),
        cloud.get("/federation/v1/desired"),
        cloud.send_proof(b"{}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "stale-session")


def test_a_heartbeat_of_another_epoch_is_stale(cloud):
    answer = cloud.heartbeat(epoch=cloud.epoch + 1)
    assert (answer.status_code, answer.json()["code"]) == (409, "stale-session")


def test_a_handshake_with_a_key_that_was_not_registered_is_refused(cloud):
    assert cloud.handshake(attest_kid="another").json()["code"] == "attest-key-unknown"


def test_a_goodbye_may_be_said_twice_and_ends_the_session(cloud):
    for _ in range(2):
        assert cloud._send("DELETE", f"/federation/v1/sessions/{cloud.session}", None).status_code == 204
    assert cloud.heartbeat().status_code == 409


def test_a_duplicate_heartbeat_is_answered_and_changes_nothing(cloud):
    one = instance(cloud)
    cloud.runs(one)
    cloud.inventory()
    assert cloud.heartbeat().status_code == 200
    before = AdapterSession.objects.get(pk=AdapterSession.objects.latest("pk").pk)
    cloud.beat -= 1
    cloud.runs(one, "Paused", 1)
    assert cloud.heartbeat(one).status_code == 200
    after = AdapterSession.objects.get(pk=before.pk)
    assert (after.seq, after.heartbeat_at) == (before.seq, before.heartbeat_at)
    assert InstanceReport.objects.get().state == "Active"


def test_a_gap_in_the_numbers_asks_for_the_full_inventory(cloud):
    cloud.inventory([])
    assert "report_full_inventory" not in cloud.heartbeat().json()["flags"]
    cloud.beat += 1
    assert "report_full_inventory" in cloud.heartbeat().json()["flags"]


def test_equal_digests_confirm_every_instance_and_others_ask_for_the_inventory(cloud):
    one, two = instance(cloud), instance(cloud)
    cloud.runs(one), cloud.runs(two)
    assert cloud.heartbeat().json()["flags"][0] == "report_full_inventory"
    assert cloud.inventory().status_code == 200
    later = clock.now() + timedelta(seconds=20)
    with clock.at(later):
        assert "report_full_inventory" not in cloud.heartbeat().json()["flags"]
    assert set(InstanceStatus.objects.values_list("state", "heartbeat_at")) == {("active", later)}
    cloud.fleet.pop(two.typeid)
    with clock.at(later + timedelta(seconds=20)):
        assert "report_full_inventory" in cloud.heartbeat().json()["flags"]
    assert set(InstanceStatus.objects.values_list("heartbeat_at", flat=True)) == {later}


def test_late_heartbeats_are_taken_and_said_to_be_late(cloud):
    cloud.heartbeat()
    with clock.at(clock.now() + timedelta(seconds=90)):
        said = cloud.heartbeat().json()
    assert said["late"] is True and said["gap_ms"] > 89_000


def test_silence_makes_a_session_unknown_and_then_lost_by_our_clock(cloud):
    cloud.heartbeat(sent_at="2001-01-01T00:00:00.000Z")  # their clock is recorded, and decides nothing
    session = AdapterSession.objects.latest("pk")
    heard = session.heartbeat_at
    assert session.offset_ms > 10**11
    assert [session.reachable(heard + timedelta(seconds=n)) for n in (59, 61, 181)] == [True, None, False]


def test_wrong_members_of_a_message_are_all_named(cloud):
    answer = cloud.heartbeat(sent_at="yesterday", health={"status": "splendid"})
    assert answer.status_code == 422
    assert {p["pointer"] for p in answer.json()["errors"]} == {"/sent_at", "/health/status"}
    assert cloud._send("POST", "/federation/v1/poll", b'{"ack": 1, "ack": 2}').json()["code"] == "malformed"
    assert cloud._send("POST", "/federation/v1/poll", b" " * (1024 * 1024 + 1)).status_code == 413


# --- inventory


def test_an_instance_without_our_identifier_is_unregistered(cloud):
    cloud.inventory([item("shadow-1", "v9", "Active", 1, 1)])
    assert InstanceReport.objects.unregistered().get().external_id == "shadow-1"


def test_an_identifier_of_another_provider_is_refused_by_its_place_and_the_rest_counts(cloud):
    elsewhere = make.instance(provider=make.provider(tenant=cloud.provider.tenant))
    mine = instance(cloud)
    cloud.runs(mine)
    bad = item("x", "v", "Active", 1, 1, id=elsewhere.typeid)
    answer = cloud.inventory([bad, *cloud.items()])
    assert [p["pointer"] for p in answer.json()["rejected"]] == ["/0/id"]
    assert InstanceReport.objects.exclude(instance=None).get().instance == mine
    assert InstanceReport.objects.unregistered().get().external_id == elsewhere.typeid


def test_a_commit_whose_digest_does_not_fit_stores_nothing(cloud):
    cloud.runs(instance(cloud))
    answer = cloud.inventory(digest=fleet_digest([]))
    assert (answer.status_code, answer.json()["code"]) == (422, "digest-mismatch")
    assert not InstanceReport.objects.exists()


def test_a_page_sent_again_replaces_itself_and_a_commit_is_answered_again(cloud):
    cloud.runs(instance(cloud))
    place = f"/federation/v1/inventory/snapshots/{cloud._send('POST', '/federation/v1/inventory/snapshots', {}).json()['snapshot_id']}"
    items = cloud.items()
    for page in ([], items, items):
        assert cloud._send("PUT", f"{place}/pages/1", {"instances": page}).status_code == 204
    for _ in range(2):
        said = cloud._send("POST", f"{place}/commit", {"count": 1, "digest": cloud.digest()})
        assert said.json()["state"] == "committed"
    assert cloud._send("PUT", f"{place}/pages/2", {"instances": []}).status_code == 409


def test_what_is_absent_is_missing_and_may_come_back(cloud):
    one, two = instance(cloud), instance(cloud)
    cloud.runs(one), cloud.runs(two)
    cloud.inventory()
    gone = cloud.fleet.pop(two.typeid)
    assert cloud.inventory().json()["missing"] == 1
    assert InstanceReport.objects.get(instance=two).missing
    assert InstanceStatus.objects.get(instance=two).state == ""
    cloud.fleet[two.typeid] = gone
    cloud.inventory()
    assert not InstanceReport.objects.get(instance=two).missing


def shrunk(cloud: Adapter, size: int, gone: int):
    """The answer to an inventory that leaves `gone` of `size` instances out."""
    for _ in range(size):
        cloud.runs(instance(cloud))
    cloud.inventory()
    for name in list(cloud.fleet)[:gone]:
        cloud.fleet.pop(name)
    return cloud.inventory()


def test_where_a_fifth_and_five_would_vanish_a_person_looks_first(cloud):
    answer = shrunk(cloud, 10, 5)
    assert (answer.status_code, answer.json()["state"]) == (202, "needs_confirmation")
    assert not InstanceReport.objects.filter(missing=True).exists()
    release_snapshot(snapshot=Snapshot.objects.latest("pk"), actor=cloud.approver, reason="They were moved.")
    assert InstanceReport.objects.filter(missing=True).count() == 5


def test_what_was_spoken_of_since_a_held_inventory_is_not_missing_by_its_release(cloud):
    runs = [instance(cloud) for _ in range(10)]
    for one in runs:
        cloud.runs(one)
    cloud.inventory()
    for one in runs[:5]:
        cloud.fleet.pop(one.typeid)
    assert cloud.inventory().status_code == 202
    cloud.runs(runs[0], generation=2)
    cloud.heartbeat(runs[0])
    release_snapshot(snapshot=Snapshot.objects.latest("pk"), actor=cloud.approver, reason="They were moved.")
    gone = InstanceReport.objects.filter(missing=True)
    assert set(gone.values_list("instance", flat=True)) == {one.pk for one in runs[1:5]}
    assert InstanceStatus.objects.get(instance=runs[0]).state == "active"


def test_four_or_a_fifth_may_vanish_without_anybody(cloud):
    assert shrunk(cloud, 5, 4).json()["missing"] == 4
    assert shrunk(cloud, 24, 5).json()["missing"] == 5


def test_older_words_change_nothing(cloud):
    one = instance(cloud)
    cloud.runs(one)
    cloud.inventory()
    stale = item(one.typeid, one.version.typeid, "Paused", 0, 0, id=one.typeid)
    cloud.inventory([stale])
    assert InstanceReport.objects.get().state == "Active"
    assert not Incident.objects.exists()
