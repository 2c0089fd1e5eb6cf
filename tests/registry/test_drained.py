"""What has drained is retired by ARM itself; what is not known to have nothing left to do stays."""

from datetime import timedelta

import pytest
from django_q.models import OrmQ

from arm import clock
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services, tasks
from registry.gates.draining import waits_for
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, InstanceStatus, Provider
from tests import make

pytestmark = pytest.mark.django_db
S = InstanceState


class Jobs:
    begun: dict = {}

    def of(self, instance):
        return self.begun


@pytest.fixture(autouse=True)
def nothing_in_flight(settings, monkeypatch):
    settings.WORK_IN_FLIGHT = [f"{__name__}.Jobs"]
    monkeypatch.setattr(Jobs, "begun", {})


def draining(heard=timedelta(minutes=5), since=timedelta(minutes=5), **kw):
    row = make.instance(state=S.DRAINING, state_since=clock.now() - since, **kw)
    at = clock.now() - heard if heard is not None else None
    InstanceStatus.objects.filter(instance=row).update(telemetry_at=at)
    return AgentInstance.objects.select_related("status", "provider").get(pk=row.pk)


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


def test_one_that_was_heard_of_just_now_works_on():
    assert not look(draining(heard=timedelta(seconds=20)))


def test_one_that_drains_since_just_now_is_left():
    assert not look(draining(since=timedelta(seconds=20)))


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
    AgentInstance.objects.filter(pk=row.pk).update(state=S.PAUSED)
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
    settings.PROMOTION_GATES = ["registry.gates.NoLiveInstance"]
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


def test_many_are_activated_and_a_stop_is_not_lifted_by_that(settings):
    settings.ACTIVATION_GATES = []
    waiting, paused = make.instance(state=S.PROVISIONING), make.instance(state=S.PAUSED)
    alice = make.everything(make.user("alice", member_of=waiting.tenant), waiting.tenant)
    bulk(alice, "activate", waiting, paused)
    waiting.refresh_from_db()
    paused.refresh_from_db()
    assert (waiting.state, paused.state) == (S.ACTIVE, S.PAUSED)


def test_the_workers_turn_goes_round_and_what_is_left_goes_to_the_end_of_the_queue(queued, monkeypatch):
    rows = [draining() for _ in range(3)]
    tenant = rows[0].tenant
    monkeypatch.setattr("registry.services.draining.AT_ONCE", 1)
    monkeypatch.setattr(tasks, "SWEEP_TURN", 0)
    assert tasks.retire_drained(tenant_id=tenant.pk) == 1
    first = min(row.pk for row in rows)
    assert "registry.tasks.retire_drained" in queued()
    assert str(first) in str(OrmQ.objects.order_by("pk").last().task["kwargs"])
    monkeypatch.setattr(tasks, "SWEEP_TURN", 20)
    assert tasks.retire_drained(tenant_id=tenant.pk, after=str(first)) == 2
    assert {row.state for row in AgentInstance.objects.all()} == {S.RETIRED}


def test_one_that_fails_keeps_none_of_the_others_waiting_and_is_told(monkeypatch):
    rows = sorted((draining() for _ in range(3)), key=lambda row: row.pk)
    real = services.retire_drained

    def broken(*, instance_id):
        if instance_id == rows[0].pk:
            raise RuntimeError("a bad row")
        return real(instance_id=instance_id)

    monkeypatch.setattr(services, "retire_drained", broken)
    with pytest.raises(ExceptionGroup, match="could not be retired") as told:
        tasks.retire_drained(tenant_id=rows[0].tenant_id)
    assert [str(problem) for problem in told.value.exceptions] == ["a bad row"]
    states = [AgentInstance.objects.get(pk=row.pk).state for row in rows]
    assert states == [S.DRAINING, S.RETIRED, S.RETIRED]
