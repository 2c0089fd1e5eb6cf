"""What a rollback has done is what its preview said: record and signed dossier have the same members, whatever was under way."""

from random import Random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arm.models import ChangeRecord
from registry import queries, services
from registry.lifecycle import InstanceState as S
from registry.models import AgentInstance
from tests import make
from tests.registry.releasing import Told, bound, running, started, states

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/"
MEMBERS = ("standing_in", "canaries", "taken_back")
COUNTS = ("withdrawn", "left", "provisioned")
WAYS = ("replaced", "at_once")
ANY = (S.ACTIVE, S.ACTIVE, S.ACTIVE, S.PROVISIONING, S.PAUSED, S.QUARANTINED, S.READ_ONLY, S.DRAINING)


@pytest.fixture(autouse=True)
def plugged(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True})


@pytest.fixture
def boss(tenant):
    return make.everything(make.user("boss", member_of=tenant), tenant)


@pytest.fixture
def versions(old, new):
    return [old, new, make.approved(template=old.template)]


@pytest.fixture
def slot(tenant, boss, versions):
    place = make.environment("prod", name="Production")
    return bound(make.slot(environment=place), *versions[:2], actor=boss)


@pytest.fixture
def second(slot, boss, versions):
    return bound(make.slot(environment=slot.environment, role=slot.role), *versions[:2], actor=boss)


def as_told(slot, actor, drain, also=()):
    """The rollback, after it was seen that record and dossier have what the preview had."""
    slot.refresh_from_db()
    shown = queries.rollback_preview(slot, actor, drain=drain, also=also)
    made = services.roll_back_slot(
        slot=slot, actor=actor, reason="It lies", drain=drain, seen=shown.targets, also=also
    )
    record = ChangeRecord.objects.get(pk=made.change_id).after
    for told in (record, made.dossier):
        assert {name: told[name] for name in MEMBERS} == {name: getattr(shown, name) for name in MEMBERS}
        assert told["rollout"] == shown.ended
    counts = made.dossier["instances"]
    assert {name: counts[name] for name in COUNTS} == {name: getattr(shown, name) for name in COUNTS}
    assert counts["drained"] + counts.get("working_on", 0) == shown.drains
    return shown, made


def stand(rows, state):
    AgentInstance.objects.filter(pk__in=[row.pk for row in rows]).update(state=state)


@pytest.mark.parametrize("drain", WAYS)
def test_a_canary_in_flight_ends_and_what_is_stopped_of_it_is_left(slot, boss, versions, drain):
    at_work = running(slot, versions[1], 4)
    rollout = started(slot, versions[2], boss, strategy="canary", percents=[100 // 2 + 25, 100])
    one, two, three = versions[2].instances.order_by("pk")
    stand([one], S.ACTIVE)
    stand([two], S.QUARANTINED)
    shown, _ = as_told(slot, boss, drain)
    (canary,) = shown.canaries
    assert (canary["drained"], canary["withdrawn"], canary["left"]) == (1, 1, 1)
    assert canary["slot"] == slot.typeid and canary["share"] == 75
    assert states(slot, versions[2]) == ["draining", "quarantined", "retired"] and three
    assert shown.ended["rollout"] == rollout.typeid and shown.ended["was"] == "running"
    assert set(shown.standing_in["for"]) == {row.typeid for row in at_work}


@pytest.mark.parametrize("drain", WAYS)
def test_canaries_that_alone_are_at_work_are_replaced_and_nothing_is_made_only_to_be_withdrawn(
    slot, boss, versions, drain
):
    stable = running(slot, versions[1], 3)
    started(slot, versions[2], boss, strategy="canary", percents=[50, 100])
    stand(versions[2].instances.all(), S.ACTIVE)
    stand(stable, S.PAUSED)
    shown, _ = as_told(slot, boss, drain)
    (canary,) = shown.canaries
    kept = drain == "replaced"
    assert (canary["working_on"], canary["drained"]) == ((2, 0) if kept else (0, 2))
    assert shown.provisioned == (2 if kept else 0) and shown.left == 3
    assert not AgentInstance.objects.filter(state=S.RETIRED).exists()


@pytest.mark.parametrize("drain", WAYS)
def test_a_canary_of_what_the_slot_goes_back_to_stays_at_work(slot, boss, versions, drain):
    running(slot, versions[1], 4)
    started(slot, versions[0], boss, strategy="canary", percents=[75, 100])
    one, two, three = versions[0].instances.order_by("pk")
    stand([one, two], S.ACTIVE)
    stand([three], S.PAUSED)
    shown, made = as_told(slot, boss, drain)
    assert made.to_version == versions[0]
    assert set(shown.taken_back) == {one.typeid, two.typeid}
    assert (shown.canaries[0]["stays"], shown.canaries[0]["left"], shown.canaries[0]["drained"]) == (2, 1, 0)
    assert shown.provisioned == shown.standing_in["there"] == 2
    assert states(slot, versions[0]) == ["active", "active", "paused", "provisioning", "provisioning"]


@pytest.mark.parametrize("drain", WAYS)
def test_a_phased_rollout_in_flight_takes_its_other_slots_back(slot, second, boss, versions, drain):
    for one in (slot, second):
        running(one, versions[1], 2)
    rollout = started([slot, second], versions[2], boss, strategy="phased", batch_size=2, drain="replaced")
    stand(versions[2].instances.filter(slot=slot), S.ACTIVE)
    shown, _ = as_told(slot, boss, drain)
    (other,) = shown.ended["slots"]
    assert (other["slot"], other["to"]) == (second.typeid, versions[1].typeid)
    assert other["withdrawn"] == 2 and len(other["taken_back"]) == 2, "what was leaving is there still"
    assert len(shown.taken_back) == 2 and shown.ended["rollout"] == rollout.typeid


@pytest.mark.parametrize("drain", WAYS)
def test_two_slots_of_one_rollout_that_go_back_together_are_not_taken_back(
    slot, second, boss, versions, drain
):
    for one in (slot, second):
        running(one, versions[1], 2)
    started([slot, second], versions[2], boss, strategy="phased", batch_size=2)
    second.refresh_from_db()
    shown, _ = as_told(slot, boss, drain, also=[second])
    assert shown.ended["slots"] == [] and set(shown.targets) == {slot.pk, second.pk}


@pytest.mark.parametrize("drain", WAYS)
def test_a_handover_in_flight_is_taken_back(slot, boss, versions, drain):
    before = running(slot, versions[1], 3)
    started(slot, versions[2], boss, drain="replaced")
    first = versions[2].instances.order_by("pk").first()
    stand([first], S.ACTIVE)
    services.settle_slot(slot_id=slot.pk)
    shown, _ = as_told(slot, boss, drain)
    assert len(shown.taken_back) == 2 and set(shown.taken_back) < {row.typeid for row in before}
    assert shown.provisioned == 1


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_under_way(slot, second, boss, versions, seed):
    chance = Random(seed)
    for one in (slot, second):
        for version in versions[:2]:
            rows = running(one, version, chance.randrange(4))
            for row in rows:
                stand([row], chance.choice(ANY))
    if way := chance.choice(["", "canary", "phased", "all"]):
        more = {"canary": {"percents": [60, 100]}, "phased": {"batch_size": 1}}.get(way, {})
        chosen = chance.choice([[slot], [slot, second]])
        comes = chance.choice([versions[2], versions[2], versions[0]])
        within = chance.choice(WAYS)
        started(chosen, comes, boss, strategy=way, drain=within, **more)
        for row in comes.instances.filter(state=S.PROVISIONING):
            stand([row], chance.choice(ANY))
        if chance.random() < 0.5:
            services.settle_slot(slot_id=slot.pk)
    slot.refresh_from_db()
    second.refresh_from_db()
    together = (
        second.current_version == slot.current_version and second.goes_back_to and chance.random() < 0.3
    )
    as_told(slot, boss, chance.choice(WAYS), also=[second] if together else [])


def test_the_api_and_the_page_say_it_before_and_after(client, slot, second, boss, versions):
    running(slot, versions[1], 2)
    running(second, versions[1], 2)
    rollout = started([slot, second], versions[2], boss, strategy="canary", percents=[50, 100])
    stand(versions[2].instances.filter(slot=slot), S.QUARANTINED)
    client.force_login(boss)
    there = f"{API}slots/{slot.typeid}/roll-back-preview/"
    said = client.get(there, {"drain": "at_once"}).json()
    assert [one["slot"] for one in said["canaries"]] == [slot.typeid, second.typeid]
    assert said["rollout"]["rollout"] == rollout.typeid and said["standing_in"]["provisioned"] == 2
    page = client.get(f"{slot.get_absolute_url()}roll-back/").text
    assert f"The canary of 50 % in {slot} ends: 1 stay stopped." in page
    assert client.get(there, {"drain": "never"}).status_code == 422
    assert client.get(there, {"also": "x"}).status_code == 422
    assert client.get(there, {"also": second.typeid}).json()["targets"].keys() == {slot.typeid, second.typeid}
    _, made = as_told(slot, boss, "at_once")
    for name in (*MEMBERS, "rollout"):
        assert made.dossier[name] == said[name]
    page = client.get(made.get_absolute_url()).text
    assert "What else changed" in page and rollout.typeid in page


def statements(call):
    with CaptureQueriesContext(connection) as seen:
        call()
    return len(seen)


def test_a_preview_asks_as_much_of_sixty_instances_as_of_three(slot, second, boss, versions):
    running(slot, versions[1], 3)
    running(second, versions[1], 3)
    started([slot, second], versions[2], boss, strategy="canary", percents=[50, 100])
    slot.refresh_from_db()
    queries.rollback_preview(slot, boss)  # what is kept by the row itself is read once
    few = statements(lambda: queries.rollback_preview(slot, boss))
    running(slot, versions[1], 57)
    running(slot, versions[2], 20)
    running(second, versions[1], 57)
    assert statements(lambda: queries.rollback_preview(slot, boss)) == few <= 15


def test_a_rollback_writes_sixty_instances_in_as_many_statements_as_three(slot, second, boss, versions):
    running(slot, versions[1], 3)
    few = statements(lambda: as_told(slot, boss, "at_once"))
    third = bound(make.slot(environment=slot.environment), versions[0], versions[2], actor=boss)
    running(third, versions[2], 60)
    many = statements(lambda: as_told(third, boss, "at_once"))
    assert many <= few + 2
