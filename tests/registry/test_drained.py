"""What has drained is retired by ARM itself; what is not known to have nothing left to do stays."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django_q.models import OrmQ

from arm import clock
from arm.models import ChangeRecord
from arm.rights import Right
from registry import gates, services, tasks
from registry.gates.draining import waits_for
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, DrainRound, InstanceStatus, Provider
from tests import make

pytestmark = pytest.mark.django_db
S = InstanceState
MINUTE = timedelta(minutes=1)


class Jobs:
    begun: dict = {}

    def of(self, instances):
        return {instance.pk: self.begun for instance in instances}


@pytest.fixture(autouse=True)
def nothing_in_flight(settings, monkeypatch):
    settings.WORK_IN_FLIGHT = [f"{__name__}.Jobs"]
    monkeypatch.setattr(Jobs, "begun", {})


def draining(heard=20 * MINUTE, since=20 * MINUTE, leaving=True, **kw):
    """Drains because it was replaced, in a tenant in which others are heard."""
    row = make.instance(state=S.DRAINING, leaving=leaving, state_since=clock.now() - since, **kw)
    says(row, telemetry_at=clock.now() - heard if heard is not None else None)
    if not AgentInstance.objects.filter(tenant=row.tenant, name="neighbour").exists():
        other = make.approved(template=make.template(tenant=row.tenant))
        says(
            make.instance(version=other, name="neighbour"), telemetry_at=clock.now(), heartbeat_at=clock.now()
        )
    return again(row)


def says(row, **told):
    InstanceStatus.objects.filter(instance=row).update(**told)


def again(row):
    return AgentInstance.objects.select_related("status", "provider").get(pk=row.pk)


def missing(row):
    return [verdict.gate for verdict in waits_for(again(row))]


def look(row):
    """Whether the worker's look retired it."""
    found = row.pk in services.drained_after(row.tenant_id)
    retired = services.retire_drained(instance_id=row.pk)
    row.refresh_from_db()
    assert retired == (row.state == S.RETIRED) and (found or not retired)
    return retired


def test_a_silent_draining_instance_is_retired_by_arm_with_one_record_and_its_reason():
    row = draining()
    assert look(row)
    record = ChangeRecord.objects.about(row).get(verb="registry.instance.retired")
    assert record.actor_id is None and "no work of it is in flight" in record.reason
    assert not services.retire_drained(instance_id=row.pk), "once"


@pytest.mark.parametrize("minutes", [0, 2, 14])
def test_a_call_of_minutes_is_not_taken_for_silence(minutes):
    row = draining(heard=minutes * MINUTE)
    assert not look(row) and "silent for 15 minutes" in missing(row)


def test_one_that_drains_since_just_now_is_left():
    row = draining(since=2 * MINUTE)
    assert not look(row) and missing(row) == ["drained for 15 minutes"]


def test_what_anybody_drained_to_look_at_it_stays_however_long_it_is_silent():
    row = draining(leaving=False, heard=timedelta(days=2), since=timedelta(days=2))
    assert not look(row) and missing(row) == ["replaced or left"]


def test_a_person_s_drain_does_not_leave_and_what_a_slot_replaces_does_until_it_is_let_go(settings):
    settings.ACTIVATION_GATES = []
    row = make.instance()
    ida = make.everything(make.user("ida", member_of=row.tenant), row.tenant)
    drained = services.move_instance(instance=row, to=S.DRAINING, actor=ida, reason="To look at it")
    assert not drained.leaving
    left = services.restrict_instance(
        instance=make.instance(version=row.version), to=S.DRAINING, actor=None, reason="left", leaving=True
    )
    assert left.leaving
    released = services.move_instance(instance=left, to=S.ACTIVE, actor=ida, reason="Needed after all")
    assert not AgentInstance.objects.get(pk=released.pk).leaving
    with pytest.raises(IntegrityError), transaction.atomic():
        AgentInstance.objects.filter(pk=released.pk).update(leaving=True)


def test_one_that_says_it_is_at_work_is_not_retired():
    row = draining()
    services.heartbeat(instance=row, state="active", generation=0)
    says(row, heartbeat_at=clock.now() - 20 * MINUTE)
    assert not look(row) and missing(row) == ["work known"]
    assert "Its last word is that it is Active" in waits_for(again(row))[0].reason
    services.heartbeat(instance=row, state="draining", generation=1)
    assert look(row)


def test_a_word_from_before_it_drained_is_none_about_that():
    row = draining()
    says(row, state="draining", reported_at=row.state_since - MINUTE)
    assert not look(row) and missing(row) == ["work known"]


def test_one_that_lives_and_does_not_say_that_it_drains_is_left():
    row = draining()
    services.heartbeat(instance=row)
    assert not look(row) and missing(row) == ["work known"]
    says(row, heartbeat_at=clock.now() - 15 * MINUTE)
    assert look(row)


def test_a_parent_waits_for_what_it_has_started():
    row = draining()
    child = make.instance(version=row.version, parent=row, depth=1)
    assert not look(row) and missing(row) == ["nothing it started lives"]
    AgentInstance.objects.filter(pk=child.pk).update(state=S.RETIRED)
    assert look(row)


def test_where_arm_hears_nobody_silence_says_nothing():
    row = draining()
    neighbour = AgentInstance.objects.get(name="neighbour")
    says(neighbour, telemetry_at=clock.now() - 20 * MINUTE)
    assert not look(row) and missing(row) == ["ARM hears"]
    says(neighbour, telemetry_at=clock.now())
    assert look(row)


class Above:
    def of(self, instances):
        return {one.pk: gates.Verdict("no stop above", False, "A stop stands above it.") for one in instances}


def test_an_app_above_may_hold_it_and_no_person(settings):
    settings.DRAINED_GATES = [f"{__name__}.Above"]
    row = draining()
    assert not look(row) and missing(row) == ["no stop above"]
    ida = make.everything(make.user("ida", member_of=row.tenant), row.tenant)
    assert services.move_instance(instance=row, to=S.RETIRED, actor=ida, reason="r").state == S.RETIRED


KNOWN = {
    "silent": {},
    "never heard": {"telemetry_at": None},
    "said a while ago": {"telemetry_at": -10},
    "says active": {"state": "active", "reported_at": 0},
    "said draining before": {"state": "draining", "reported_at": -30},
    "says draining": {"state": "draining", "reported_at": -5},
    "says draining, never heard": {"state": "draining", "reported_at": -5, "telemetry_at": None},
    "lives": {"heartbeat_at": -1},
    "lived": {"heartbeat_at": -16},
}


@pytest.mark.parametrize("kind", [Provider.Kind.LOCAL, Provider.Kind.FEDERATED])
def test_the_look_asks_of_exactly_those_of_which_nothing_of_their_own_is_missing(kind):
    first = draining()
    at = make.provider(kind=kind, tenant=first.tenant)
    held = set()
    for told in KNOWN.values():
        row = make.instance(
            version=first.version, provider=at, state=S.DRAINING, leaving=True, state_since=first.state_since
        )
        moments = {
            name: clock.now() + value * MINUTE if isinstance(value, int) else value
            for name, value in {"telemetry_at": -20, **told}.items()
        }
        says(row, **moments)
        if missing(row):
            held.add(row.pk)
    found = set(services.drained_after(first.tenant_id))
    rows = set(AgentInstance.objects.filter(leaving=True).values_list("pk", flat=True))
    assert found == rows - held and held and found - {first.pk}


def test_work_in_flight_holds_it(monkeypatch):
    monkeypatch.setattr(Jobs, "begun", {"jobs without an outcome": 2})
    row = draining()
    assert not look(row)
    assert "2 jobs without an outcome" in waits_for(row)[0].reason


def test_of_what_nothing_was_ever_heard_nothing_is_assumed():
    row = draining(heard=None)
    assert not look(row)
    assert [verdict.gate for verdict in waits_for(row)] == ["work known"]


def test_a_federated_one_waits_until_its_provider_has_said_that_it_drains():
    row = draining(provider=make.provider(kind=Provider.Kind.FEDERATED))
    status = InstanceStatus.objects.filter(instance=row)
    status.update(state=S.DRAINING, reported_at=row.state_since - timedelta(seconds=1))
    assert not look(row), "that was an earlier drain"
    status.update(state=S.ACTIVE, reported_at=clock.now())
    assert not look(row)
    status.update(state=S.DRAINING)
    assert look(row)


def test_only_what_drains_is_retired():
    row = draining()
    AgentInstance.objects.filter(pk=row.pk).update(state=S.PAUSED, leaving=False)
    assert not look(row)


def test_a_look_goes_on_where_the_last_one_ended(monkeypatch):
    monkeypatch.setattr("registry.services.draining.AT_ONCE", 2)
    build = make.approved()
    rows = [draining(version=build) for _ in range(3)]
    first = services.drained_after(build.tenant_id)
    assert first == [row.pk for row in rows[:2]]
    assert services.drained_after(build.tenant_id, first[-1]) == [rows[2].pk]


def test_the_page_says_what_is_missing(client):
    row = draining(heard=None)
    client.force_login(make.everything(make.user("alice", member_of=row.tenant), row.tenant))
    assert "whether it has work is not known" in client.get(row.get_absolute_url()).content.decode()


def test_when_the_drained_are_retired_the_version_may_be(settings):
    settings.PROMOTION_GATES = ["registry.gates.retirement.NoLiveInstance"]
    row = draining(version=make.version(state=VersionState.DEPRECATED))
    alice = make.everything(make.user("alice", member_of=row.tenant), row.tenant)
    assert look(row)
    moved = services.move_version(version=row.version, to=VersionState.RETIRED, actor=alice, reason="over")
    assert moved.state == VersionState.RETIRED


def bulk(actor, action, *rows):
    run = services.preview_bulk(
        tenant=rows[0].tenant, action=action, targets=[row.pk for row in rows], actor=actor
    )
    services.apply_bulk(run=run, actor=actor, reason="over")
    return {row.target_id: row.outcome for row in run.rows.all()}


def test_many_are_retired_with_the_right_that_one_asks():
    done, held = draining(), draining(heard=timedelta(seconds=5))
    quarantined = make.instance(state=S.QUARANTINED)
    bob = make.user("bob", member_of=done.tenant)
    make.grant(bob, done.tenant, Right.READ_DIRECTORY, Right.PROVISION_INSTANCE)
    assert bulk(bob, "retire", done, held, quarantined)[done.pk] == "applied"
    for row, state in ((done, S.RETIRED), (held, S.DRAINING), (quarantined, S.QUARANTINED)):
        row.refresh_from_db()
        assert row.state == state


def test_many_that_are_drained_stay_and_whoever_may_only_restrict_ends_none():
    row = make.instance()
    ida = make.user("ida", member_of=row.tenant)
    make.grant(ida, row.tenant, Right.READ_DIRECTORY, Right.RESTRICT_INSTANCE)
    assert bulk(ida, "drain", row)[row.pk] == "applied"
    row.refresh_from_db()
    assert (row.state, row.leaving) == (S.DRAINING, False)
    says(row, telemetry_at=clock.now())
    with clock.at(clock.now() + timedelta(days=2)):
        assert not look(again(row))


def test_the_pages_say_who_retires_it(client):
    row = make.instance()
    client.force_login(make.everything(make.user("alice", member_of=row.tenant), row.tenant))
    before = client.get(f"{reverse('registry:instance_move', args=[row.typeid])}?to=draining")
    assert "ARM does not retire it" in before.content.decode()
    mine, left = draining(leaving=False, version=row.version), draining(version=row.version)
    for drained, title in (
        (mine, "It drains until somebody says otherwise"),
        (left, "Before ARM retires it"),
    ):
        assert title in client.get(drained.get_absolute_url()).content.decode()
        said = client.get(f"/api/v1/registry/instances/{drained.typeid}/").json()["desired"]
        assert said["leaving"] == drained.leaving


def test_many_are_activated_and_a_stop_is_not_lifted_by_that(settings):
    settings.ACTIVATION_GATES = []
    waiting, paused = make.instance(state=S.PROVISIONING), make.instance(state=S.PAUSED)
    alice = make.everything(make.user("alice", member_of=waiting.tenant), waiting.tenant)
    bulk(alice, "activate", waiting, paused)
    waiting.refresh_from_db()
    paused.refresh_from_db()
    assert (waiting.state, paused.state) == (S.ACTIVE, S.PAUSED)


def of_one_agent(number=3):
    first = draining()
    rows = [first, *(draining(version=first.version) for _ in range(number - 1))]
    return sorted(rows, key=lambda row: row.pk)


def states(rows):
    return [AgentInstance.objects.get(pk=row.pk).state for row in rows]


def test_the_workers_turn_goes_round_and_what_is_left_goes_to_the_end_of_the_queue(queued, monkeypatch):
    rows = of_one_agent()
    tenant = rows[0].tenant_id
    monkeypatch.setattr("registry.services.draining.AT_ONCE", 1)
    monkeypatch.setattr(tasks, "SWEEP_TURN", 0)
    assert tasks.retire_drained(tenant_id=tenant) == 1
    assert "registry.tasks.retire_drained" in queued()
    turn = OrmQ.objects.order_by("pk").last().task["kwargs"]["turn"]
    monkeypatch.setattr(tasks, "SWEEP_TURN", 20)
    assert tasks.retire_drained(tenant_id=tenant) == 0, "the minute's look leaves the round that is under way"
    assert states(rows) == [S.RETIRED, S.DRAINING, S.DRAINING]
    assert tasks.retire_drained(tenant_id=tenant, turn=turn) == 2
    assert states(rows) == [S.RETIRED] * 3
    late = draining(version=rows[0].version)
    assert tasks.retire_drained(tenant_id=tenant) == 1, "and the next round begins anew"
    assert states([late]) == [S.RETIRED]


def test_a_round_whose_worker_was_lost_goes_on_and_the_lost_one_ends_when_it_comes_back(queued, monkeypatch):
    rows = of_one_agent()
    tenant = rows[0].tenant_id
    monkeypatch.setattr("registry.services.draining.AT_ONCE", 1)
    monkeypatch.setattr(tasks, "SWEEP_TURN", 0)
    tasks.retire_drained(tenant_id=tenant)
    with clock.at(clock.now() + 6 * MINUTE):
        says(AgentInstance.objects.get(name="neighbour"), telemetry_at=clock.now(), heartbeat_at=clock.now())
        assert tasks.retire_drained(tenant_id=tenant) == 1
        assert states(rows) == [S.RETIRED, S.RETIRED, S.DRAINING]
        assert tasks.retire_drained(tenant_id=tenant, turn=1) == 0
        assert tasks.retire_drained(tenant_id=tenant, turn=2) == 1
    assert DrainRound.objects.get().turn == 2


def test_one_that_fails_keeps_none_of_the_others_waiting_and_is_told(monkeypatch):
    rows = of_one_agent()
    real = services.retire_drained

    def broken(*, instance_id):
        if instance_id == rows[0].pk:
            raise RuntimeError("a bad row")
        return real(instance_id=instance_id)

    monkeypatch.setattr(services, "retire_drained", broken)
    with pytest.raises(ExceptionGroup, match="could not be retired") as told:
        tasks.retire_drained(tenant_id=rows[0].tenant_id)
    assert [str(problem) for problem in told.value.exceptions] == ["a bad row"]
    assert states(rows) == [S.DRAINING, S.RETIRED, S.RETIRED]
