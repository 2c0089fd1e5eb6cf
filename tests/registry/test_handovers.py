"""Capacity kept: what a slot leaves works on until it is replaced, and not a moment longer than was said."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services, tasks
from registry.engine import may_leave
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, Handover
from telemetry.models import Incident
from tests import make
from tests.registry.releasing import bound, planned, running, shown, started, states

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gates(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]


@pytest.fixture
def first():
    return make.approved()


@pytest.fixture
def second(first):
    return make.approved(template=first.template)


@pytest.fixture
def slot(tenant, rita, first, second):
    place = make.environment("prod", name="Production")
    return bound(make.slot(environment=place), first, second, actor=rita)


def roll_back(slot, actor, **more):
    return services.roll_back_slot(slot=slot, actor=actor, **{"reason": "Slow"} | more)


def come_to_work(slot, version, number):
    """So many of those that wait for work in the slot are activated."""
    waiting = AgentInstance.objects.filter(slot=slot, version=version, state=InstanceState.PROVISIONING)
    chosen = list(waiting.order_by("pk").values_list("pk", flat=True)[:number])
    assert len(chosen) == number
    AgentInstance.objects.filter(pk__in=chosen).update(state=InstanceState.ACTIVE)


def look(slot):
    return services.settle_slot(slot_id=slot.pk)


@pytest.mark.parametrize(
    ("at_work", "replaced", "wanted", "leave"),
    [(4, 0, 4, 0), (4, 1, 4, 1), (4, 4, 4, 4), (4, 9, 4, 4), (3, 0, 4, 0), (4, 2, 5, 1), (0, 0, 4, 0)],
)
def test_as_many_may_leave_as_others_do_the_work_of(at_work, replaced, wanted, leave):
    assert may_leave(at_work, replaced, wanted) == leave


def test_a_rollback_leaves_the_slot_never_with_fewer_at_work(slot, dan, first, second):
    running(slot, second, 3)
    made = roll_back(slot, dan)
    assert states(slot, second) == ["active"] * 3 and states(slot, first) == ["provisioning"] * 3
    assert (made.drained, made.provisioned) == (0, 3)
    for there in (1, 2, 3):
        come_to_work(slot, first, 1)
        look(slot)
        working = states(slot, second).count("active") + states(slot, first).count("active")
        assert working == 3 and states(slot, second).count("draining") == there
    handover = Handover.objects.get()
    assert (handover.outcome, handover.wanted, handover.drained, handover.at_work) == ("replaced", 3, 3, 3)
    assert handover.rollback == made
    assert not Incident.objects.filter(kind="outage").exists()


def test_each_of_the_old_ones_has_its_record_and_the_end_has_one(slot, dan, first, second):
    running(slot, second, 2)
    made = roll_back(slot, dan)
    come_to_work(slot, first, 2)
    look(slot)
    drained = ChangeRecord.objects.filter(verb="registry.instance.restricted")
    assert drained.count() == 2 and {row.actor_id for row in drained} == {None}
    assert all("2 of 2 replacements are at work" in row.reason for row in drained)
    end = ChangeRecord.objects.get(verb="registry.handover.ended")
    assert end.after == {"outcome": "replaced", "wanted": 2, "at_work": 2, "drained": 2}
    assert end.links == [slot.typeid, second.typeid, made.typeid]
    begun = ChangeRecord.objects.get(verb="registry.slot.rolled_back")
    assert begun.after["working_on"] == 2 and begun.after["until"]


def test_when_time_is_up_the_rest_drains_and_an_incident_says_so(slot, dan, first, second):
    running(slot, second, 3)
    roll_back(slot, dan, within=timedelta(minutes=5))
    come_to_work(slot, first, 1)
    with clock.at(clock.now() + timedelta(minutes=4)):
        assert look(slot) == 1
    with clock.at(clock.now() + timedelta(minutes=5, seconds=1)):
        assert look(slot) == 2
    assert states(slot, second) == ["draining"] * 3
    handover = Handover.objects.get()
    assert (handover.outcome, handover.at_work) == ("time_up", 1)
    incident = Incident.objects.get(kind="outage")
    assert incident.facts["said"] == "1 of 3 replacements are at work." and incident.version == first


def test_a_second_slot_that_is_short_stands_on_the_timeline_of_the_first(slot, rita, dan, first, second):
    other = bound(
        make.slot(environment=slot.environment, role=slot.role, ordinal=2), first, second, actor=rita
    )
    for one in (slot, other):
        running(one, second, 2)
        roll_back(one, dan, within=timedelta(minutes=5))
    with clock.at(clock.now() + timedelta(minutes=6)):
        assert (look(slot), look(other)) == (2, 2)
    incident = Incident.objects.get(kind="outage")
    (line,) = incident.entries.filter(kind="note")
    handover = Handover.objects.get(slot=other)
    assert "0 of 2 replacements" in line.text and line.links == [other.typeid, handover.typeid]


def test_because_of_an_incident_the_old_ones_drain_at_once(slot, dan, first, second):
    running(slot, second, 2)
    incident = make.incident(make.instance(version=second))
    made = roll_back(slot, dan, incident=incident.pk)
    assert states(slot, second) == ["draining"] * 2 and made.drained == 2
    assert made.dossier["drain"] == "at_once" and not Handover.objects.exists()


def test_who_names_an_incident_may_still_keep_the_capacity(slot, dan, second):
    running(slot, second, 2)
    incident = make.incident(make.instance(version=second))
    roll_back(slot, dan, incident=incident.pk, drain="replaced")
    assert states(slot, second) == ["active"] * 2


def test_what_works_on_is_not_drained_as_left_behind(slot, dan, second):
    running(slot, second, 2)
    roll_back(slot, dan)
    second.refresh_from_db()
    assert second.state == VersionState.DEPRECATED
    assert tasks.slot_bound(tenant_id=slot.tenant_id, slot_id=str(slot.pk)) == 0
    assert states(slot, second) == ["active"] * 2


def test_the_worker_looks_at_every_slot_and_goes_on_where_things_are(slot, dan, first, second):
    running(slot, second, 2)
    roll_back(slot, dan)
    assert services.slots_handing_over(slot.tenant_id) == [slot.pk]
    come_to_work(slot, first, 2)
    assert look(slot) == 2
    assert look(slot) == 0 and services.slots_handing_over(slot.tenant_id) == []


def test_a_rollout_keeps_the_capacity_of_each_slot(slot, rita, first, second):
    third = make.approved(template=first.template)
    running(slot, second, 4)
    started(slot, third, rita, drain="replaced", within=timedelta(hours=1))
    assert states(slot, second) == ["active"] * 4 and states(slot, third) == ["provisioning"] * 4
    come_to_work(slot, third, 4)
    look(slot)
    assert states(slot, second) == ["draining"] * 4
    assert Handover.objects.get().rollout.version == third


def test_a_canary_at_work_counts_as_a_replacement(slot, rita, first, second):
    third = make.approved(template=first.template)
    running(slot, second, 4)
    rollout = started(
        slot, third, rita, strategy="canary", percents=[50, 100], drain="replaced", bake=timedelta()
    )
    come_to_work(slot, third, 2)
    services.confirm_step(rollout=rollout, step=1, actor=rita, reason="good")
    assert states(slot, second) == ["active"] * 2 + ["draining"] * 2
    assert states(slot, third) == ["active"] * 2 + ["provisioning"] * 2


def test_an_abort_lets_those_go_on_that_had_not_drained_yet(slot, rita, first, second):
    third = make.approved(template=first.template)
    running(slot, second, 4)
    rollout = started(slot, third, rita, drain="replaced")
    come_to_work(slot, third, 1)
    look(slot)
    services.abort_rollout(rollout=rollout, actor=rita, reason="stop")
    slot.refresh_from_db()
    assert slot.current_version == second
    assert (
        states(slot, second) == ["active"] * 3 + ["draining", "provisioning"]
        and states(slot, third).count("active") == 1
    )
    assert Handover.objects.get(version=second).outcome == "kept"
    leaving = Handover.objects.get(version=third)
    assert leaving.ended_at is None and leaving.wanted == 4, "the fourth is missing until somebody comes"


def test_an_abort_may_drain_at_once(slot, rita, first, second):
    third = make.approved(template=first.template)
    running(slot, second, 2)
    rollout = started(slot, third, rita, drain="replaced")
    come_to_work(slot, third, 2)
    look(slot)
    services.abort_rollout(rollout=rollout, actor=rita, reason="stop", drain="at_once")
    assert states(slot, third) == ["draining"] * 2 and states(slot, second).count("provisioning") == 2


def test_a_slot_that_is_rebound_meanwhile_waits_for_the_newest(slot, rita, dan, first, second):
    third = make.approved(template=first.template)
    running(slot, second, 2)
    started(slot, third, rita, drain="replaced")
    come_to_work(slot, third, 1)
    fourth = make.approved(template=first.template)
    services.abort_rollout(rollout=slot.rollouts.get().rollout, actor=rita, reason="stop", drain="at_once")
    started(slot, fourth, rita, drain="replaced")
    assert states(slot, second).count("active") == 2
    come_to_work(slot, fourth, 2)
    look(slot)
    assert states(slot, second) == ["draining"] * 2
    assert not Handover.objects.open().exists()


def test_a_person_ends_it_at_once(slot, dan, second):
    running(slot, second, 2)
    roll_back(slot, dan)
    assert services.drain_at_once(slot=slot, actor=dan, reason="It does harm") == 2
    assert states(slot, second) == ["draining"] * 2
    record = ChangeRecord.objects.get(verb="registry.handover.ended")
    assert (record.actor_id, record.reason, record.after["outcome"]) == (dan.pk, "It does harm", "at_once")
    with pytest.raises(Conflict, match="works on"):
        services.drain_at_once(slot=slot, actor=dan, reason="again")


def test_who_may_neither_promote_nor_roll_back_ends_none(slot, dan, second, tenant):
    running(slot, second, 1)
    roll_back(slot, dan)
    mallory = make.user("mallory", member_of=tenant)
    make.grant(mallory, tenant, *set(Right) - {Right.ROLL_BACK_RELEASE, Right.PROMOTE_RELEASE})
    with pytest.raises(NotAllowed):
        services.drain_at_once(slot=slot, actor=mallory, reason="x")
    assert states(slot, second) == ["active"]


def test_those_that_somebody_stopped_are_waited_for_no_more(slot, dan, second):
    (one,) = running(slot, second, 1)
    roll_back(slot, dan)
    services.restrict_instance(instance=one, to=InstanceState.QUARANTINED, actor=dan, reason="odd")
    look(slot)
    assert Handover.objects.get().outcome == "gone" and states(slot, second) == ["quarantined"]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"drain": "later"}, "/drain"),
        ({"within": timedelta(seconds=5)}, "/within"),
        ({"within": timedelta(days=2)}, "/within"),
        ({"drain": "at_once", "within": timedelta(hours=1)}, "/within"),
    ],
)
def test_a_time_that_is_none_is_refused_with_its_pointer(slot, rita, dan, second, more, pointer):
    for act in (lambda: roll_back(slot, dan, **more), lambda: planned(slot, make.approved(), rita, **more)):
        more.setdefault("drain", "replaced")
        with pytest.raises(Invalid) as refused:
            act()
        assert [problem["pointer"] for problem in refused.value.extra["errors"]] == [pointer]
    slot.refresh_from_db()
    assert slot.current_version == second


def test_the_database_holds_what_was_said_at_the_beginning(slot, dan, first, second):
    running(slot, second, 1)
    roll_back(slot, dan)
    rows = Handover.objects.all()
    for change in ({"wanted": 0}, {"until": clock.now()}, {"outcome": "kept"}):
        with pytest.raises((IntegrityError, DatabaseError)), transaction.atomic():
            rows.update(**change)
    come_to_work(slot, first, 1)
    look(slot)
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.update(outcome="kept")


# through the API and the pages


@pytest.fixture
def caller(client, dan):
    client.force_login(dan)
    return client


API = "/api/v1/registry/"


def send(client, path, **body):
    return client.post(API + path, {"reason": "go", **body}, content_type="application/json")


def test_the_api_rolls_back_shows_what_works_on_and_ends_it(caller, slot, first, second):
    running(slot, second, 2)
    where = f"slots/{slot.typeid}/"
    wrong = send(caller, f"{where}roll-back/", leaving=second.typeid, within_seconds=5)
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["pointer"] == "/within_seconds"
    made = send(caller, f"{where}roll-back/", leaving=second.typeid, drain="replaced", within_seconds=600)
    assert made.status_code == 201, made.json()
    (row,) = caller.get(f"{API}handovers/", {"open": "true", "slot": slot.typeid}).json()["results"]
    assert (row["version"], row["wanted"], row["outcome"]) == (second.typeid, 2, "")
    assert row["rollback"] == made.json()["id"]
    assert caller.get(f"{API}handovers/{row['id']}/").json() == row
    assert send(caller, f"{where}drain-at-once/").json() == {"drained": 2}
    assert send(caller, f"{where}drain-at-once/").status_code == 409
    assert caller.get(f"{API}handovers/", {"open": "true"}).json()["results"] == []


def test_the_page_says_what_works_on_and_drains_it(caller, slot, dan, first, second):
    running(slot, second, 2)
    page = caller.get(f"{slot.get_absolute_url()}roll-back/").content.decode()
    assert "until as many of" in page and "At once" in page
    body = {"reason": "Slow", "drain": "replaced", "within": "20", **shown(page)}
    made = caller.post(f"{slot.get_absolute_url()}roll-back/", body)
    assert made.status_code == 302, made.content.decode()
    assert "Works on" in caller.get(made["Location"]).content.decode()
    handover = Handover.objects.get()
    assert handover.until - handover.since == timedelta(minutes=20)
    page = caller.get(slot.get_absolute_url()).content.decode()
    assert "0 of 2" in page and f"{slot.get_absolute_url()}drain/" in page
    assert caller.post(f"{slot.get_absolute_url()}drain/", {"reason": "Harm"}).status_code == 302
    assert states(slot, second) == ["draining"] * 2
    page = caller.get(slot.get_absolute_url()).content.decode()
    assert "Drained at once" in page and f"{slot.get_absolute_url()}drain/" not in page


def completed(rollout, actor):
    return services.confirm_step(rollout=rollout, step=1, actor=actor, reason="good")


def test_a_rollback_while_something_is_still_being_replaced_goes_through(tenant, rita, slot, first, second):
    third = make.approved(template=first.template)
    running(slot, second, 3)
    completed(started(slot, third, rita, drain="replaced", bake=timedelta(0)), rita)
    AgentInstance.objects.filter(slot=slot, version=third).update(state=InstanceState.ACTIVE)
    slot.refresh_from_db()
    made = roll_back(slot, rita, drain="replaced")
    slot.refresh_from_db()
    assert slot.current_version == second and made.to_version == second
    assert states(slot, third) == ["draining"] * 3 and states(slot, second) == ["active"] * 3
    ended = Handover.objects.get(version=third)
    assert (ended.outcome, ended.rollback) == ("replaced", made)
    assert any(
        made.typeid in row.links for row in ChangeRecord.objects.filter(verb="registry.handover.ended")
    )


def test_a_canary_of_what_was_leaving_leaves_as_it_was_when_it_is_taken_back(
    tenant, rita, slot, first, second
):
    third = make.approved(template=first.template)
    running(slot, second, 4)
    completed(started(slot, third, rita, drain="replaced", bake=timedelta(0)), rita)
    one = AgentInstance.objects.filter(slot=slot, version=third).order_by("pk").first()
    AgentInstance.objects.filter(pk=one.pk).update(state=InstanceState.ACTIVE)
    services.settle_slot(slot_id=slot.pk)
    again = started(slot, second, rita, strategy="canary", percents=[50, 100])
    services.abort_rollout(rollout=again, actor=rita, reason="No better")
    at_work = AgentInstance.objects.filter(slot=slot, state=InstanceState.ACTIVE)
    assert at_work.count() >= 3
    assert Handover.objects.open().get().version == second
