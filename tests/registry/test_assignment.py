"""Who gets the new version: always the same keys, as many as the share says, and nobody is sent back."""

from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from registry import services
from registry.engine import BUCKETS, bucket, chosen
from tests import make
from tests.registry.releasing import bound, running, started

uuids, keys, shares = st.uuids(), st.text(min_size=1, max_size=80), st.integers(0, 100)
HERE, THERE = UUID(int=1), UUID(int=2)


@given(uuids, uuids, keys, shares, shares)
def test_who_is_in_at_a_share_stays_in_at_a_larger_one(slot, rollout, key, one, other):
    small, large = sorted((one, other))
    assert chosen(slot, rollout, key, large) or not chosen(slot, rollout, key, small)


@given(uuids, uuids, keys)
def test_the_answer_depends_on_slot_rollout_and_key_alone(slot, rollout, key):
    assert bucket(slot, rollout, key) == bucket(UUID(str(slot)), UUID(str(rollout)), str(key))
    assert 0 <= bucket(slot, rollout, key) < BUCKETS
    assert chosen(slot, rollout, key, 100) and not chosen(slot, rollout, key, 0)


@pytest.mark.parametrize("share", [5, 25, 50])
def test_a_share_of_many_keys_is_that_share(share):
    got = sum(chosen(HERE, THERE, f"ins_{n}", share) for n in range(20_000))
    assert abs(got / 200 - share) < 1


def test_another_rollout_tries_other_keys_first():
    first = {n for n in range(2_000) if chosen(HERE, THERE, str(n), 5)}
    second = {n for n in range(2_000) if chosen(HERE, UUID(int=3), str(n), 5)}
    assert len(first & second) < len(first) / 2


def test_a_known_answer_never_changes():
    """Other implementations compare with it: SHA-256 of slot, rollout and key; its first 8 bytes modulo 10,000."""
    assert [bucket(HERE, THERE, key) for key in ("a", "ins_1", "ü")] == KNOWN


KNOWN = [4783, 4634, 1096]

# the endpoint

API = "/api/v1/registry/slots"
db = pytest.mark.django_db


@pytest.fixture
def alice(tenant, client):
    user = make.everything(make.user("alice", member_of=tenant), tenant)
    client.force_login(user)
    return user


@pytest.fixture
def slot(alice, settings):
    settings.BINDING_GATES = []
    return bound(make.slot(), make.approved(), actor=alice)


def ask(client, slot, key="", token="", **headers):
    if token:
        headers["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client.get(f"{API}/{slot.typeid}/assignment/", {"key": key} if key else {}, **headers)


@db
def test_keys_are_split_while_a_canary_runs_and_whole_again_after_it(client, alice, slot):
    old, new = slot.current_version, make.approved()
    assert ask(client, slot, "a").json()["version"] == old.typeid
    rollout = started(slot, new, alice, strategy="canary", percents=[50, 100])
    answers = {key: ask(client, slot, key).json() for key in map(str, range(40))}
    for key, answer in answers.items():
        inside = chosen(slot.pk, rollout.pk, key, 50)
        assert answer["version"] == (new if inside else old).typeid
        assert answer["genome"] == (new if inside else old).genome.digest
        assert (answer["canary"], answer["step"], answer["share"]) == (inside, 1, 50)
        assert answer["rollout"] == rollout.typeid
    assert {answer["canary"] for answer in answers.values()} == {True, False}
    services.abort_rollout(rollout=rollout, actor=alice, reason="x")
    after = ask(client, slot, "0").json()
    assert (after["version"], after["canary"], after["rollout"], after["step"]) == (
        old.typeid,
        False,
        None,
        None,
    )


@db
def test_an_answer_may_be_kept_shortly_and_is_not_sent_twice(client, alice, slot):
    first = ask(client, slot, "a")
    assert first["Cache-Control"] == "private, max-age=15" and first.json()["until"]
    same = ask(client, slot, "a", HTTP_IF_NONE_MATCH=first["ETag"])
    assert (same.status_code, same.content) == (304, b"")
    assert ask(client, slot, "a", HTTP_IF_NONE_MATCH="*").status_code == 304
    bound(slot, make.approved(), actor=alice)
    assert ask(client, slot, "a", HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 200


@db
def test_an_answer_of_another_rollout_is_another_answer(client, alice, slot):
    new = make.approved()
    first = started(slot, new, alice, strategy="canary", percents=[50, 100])
    before = {key: ask(client, slot, key) for key in map(str, range(20))}
    services.abort_rollout(rollout=first, actor=alice, reason="x")
    second = started(slot, new, alice, strategy="canary", percents=[50, 100])
    same = [
        key for key in before if chosen(slot.pk, first.pk, key, 50) == chosen(slot.pk, second.pk, key, 50)
    ]
    assert same, "some keys get the same version of both"
    for key in same:
        answer = ask(client, slot, key, HTTP_IF_NONE_MATCH=before[key]["ETag"])
        assert (answer.status_code, answer.json()["rollout"]) == (200, second.typeid)


@db
def test_an_instance_asks_for_itself_with_its_own_token(client, alice, slot):
    (instance,) = running(slot, slot.current_version, 1)
    client.logout()
    answer = ask(client, slot, token=make.workload_token(instance))
    assert (answer.status_code, answer.json()["key"]) == (200, instance.typeid)
    assert ask(client, make.slot(), token=make.workload_token(instance)).status_code == 404
    elsewhere = make.workload_token(make.instance())
    assert ask(client, slot, token=elsewhere).status_code == 404
    assert ask(client, slot, token="armw_nonsense").status_code == 401


@db
def test_an_instance_is_told_the_version_that_it_works_on_while_a_canary_runs(client, alice, slot):
    old, new, left = slot.current_version, make.approved(), make.approved()
    stable, (stray,) = running(slot, old, 8), running(slot, left, 1)
    rollout = started(slot, new, alice, strategy="canary", percents=[50, 100])
    canaries = list(new.instances.filter(slot=slot))
    assert len(canaries) == 4
    client.logout()
    for instance in stable + canaries:
        answer = ask(client, slot, token=make.workload_token(instance)).json()
        assert (answer["key"], answer["version"]) == (instance.typeid, instance.version.typeid)
        assert (answer["canary"], answer["rollout"]) == (instance.version == new, rollout.typeid)
        assert answer["genome"] == instance.version.genome.digest
    answer = ask(client, slot, token=make.workload_token(stray)).json()
    assert answer["canary"] is chosen(slot.pk, rollout.pk, stray.typeid, 50), "of neither: as any key"
    others = {
        ask(client, slot, str(n), token=make.workload_token(stable[0])).json()["canary"] for n in range(40)
    }
    assert others == {True, False}, "what it hands out is assigned by its key"


@db
def test_whoever_asks_is_told_the_same_of_an_instance(client, alice, slot):
    old, new = slot.current_version, make.approved()
    stable = running(slot, old, 4)
    started(slot, new, alice, strategy="canary", percents=[50, 100])
    for instance in [*stable, *new.instances.filter(slot=slot)]:
        mine = ask(client, slot, token=make.workload_token(instance))
        named = ask(client, slot, instance.typeid)
        assert (named.json()["version"], named["ETag"]) == (instance.version.typeid, mine["ETag"])


@db
def test_an_instance_that_a_slot_has_left_is_told_what_the_slot_is_bound_to(client, alice, slot):
    (instance,) = running(slot, slot.current_version, 1)
    slot = bound(slot, make.approved(), actor=alice)
    told = ask(client, slot, token=make.workload_token(instance)).json()
    assert (told["version"], told["canary"]) == (slot.current_version.typeid, False)


@db
@pytest.mark.parametrize(
    "key", ["ins_1", "ins_", "ins_zzzzzzzzzzzzzzzzzzzzzzzzzz", "ins_01h455vb4pex5vsknk084sn02q"]
)
def test_what_only_looks_like_an_instance_is_a_key_like_any_other(client, alice, slot, key):
    new = make.approved()
    rollout = started(slot, new, alice, strategy="canary", percents=[50, 100])
    assert ask(client, slot, key).json()["canary"] is chosen(slot.pk, rollout.pk, key, 50)


@db
def test_a_person_names_a_key_and_a_stranger_learns_nothing(client, alice, slot, tenant):
    assert ask(client, slot).status_code == 422
    client.force_login(make.user("mallory", member_of=tenant))
    assert ask(client, slot, "a").status_code == 404
    client.logout()
    assert ask(client, slot, "a").status_code == 401


@db
def test_asking_costs_the_same_however_many_run(client, alice, slot):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert ask(client, slot, "a").status_code == 200
        return len(seen)

    queries()
    few = queries()
    running(slot, slot.current_version, 5)
    started(slot, make.approved(), alice, strategy="canary", percents=[5, 100])
    assert queries() <= few + 1
