"""Rollouts and rollbacks at once: real threads, real transactions, a worker that dies, one truth afterwards."""

from datetime import timedelta
from threading import Event, Thread

import pytest
from django.db import OperationalError, connection, connections

from arm import clock, db
from arm.errors import Conflict
from registry import services, tasks
from registry.models import Rollback, Rollout, RolloutSlot, SlotBinding
from tests import make
from tests.registry.releasing import Told, bound, planned, running, started
from tests.registry.test_races import at_once

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def tenant(settings, monkeypatch):
    settings.BINDING_GATES = []
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True, "incidents": True, "cost": True})
    return make.tenant()


@pytest.fixture
def alice(tenant):
    return make.everything(make.user(member_of=tenant), tenant)


@pytest.fixture
def versions(tenant):
    template = make.template(tenant=tenant)
    return [make.approved(template=template) for _ in range(4)]


@pytest.fixture
def slot(tenant, alice, versions):
    place = make.environment(tenant=tenant)
    return bound(make.slot(environment=place), *versions[:2], actor=alice)


def test_of_rollouts_started_at_once_on_a_slot_one_runs(tenant, alice, slot, versions):
    plans = [planned(slot, version, alice) for version in (versions[2], versions[3], versions[2])]
    calls = [lambda r=r: services.start_rollout(rollout=r, actor=alice, reason="race") for r in plans]
    results = at_once(tenant, *calls)
    assert sum(isinstance(result, Rollout) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 2
    assert RolloutSlot.objects.filter(slot=slot, held=True).count() == 1
    assert Rollout.objects.filter(state="running", tenant=tenant).count() == 1


def test_a_binding_and_a_start_at_once_never_both_happen_unseen(tenant, alice, slot, versions):
    rollout = planned(slot, versions[2], alice, strategy="canary", percents=[5, 100])
    at_once(
        tenant,
        lambda: services.start_rollout(rollout=rollout, actor=alice, reason="race"),
        lambda: services.bind_slot(slot=slot, version=versions[3], actor=alice, reason="race"),
    )
    slot.refresh_from_db()
    row = rollout.slots.get()
    assert row.held and row.from_version_id == slot.current_version_id, (
        "what it would return to is what is there"
    )


def test_two_rollbacks_at_once_go_back_once(tenant, alice, slot, versions):
    running(slot, versions[1], 3)

    def back():
        return services.roll_back_slot(slot=slot, leaving=versions[1], actor=alice, reason="race")

    results = at_once(tenant, back, back)
    assert [type(result) for result in results].count(Rollback) == 1
    assert Rollback.objects.filter(slot=slot).count() == 1
    assert versions[0].instances.filter(slot=slot).count() == 3
    assert SlotBinding.objects.filter(slot=slot, until=None).count() == 1


def test_an_advance_and_a_rollback_at_once_end_in_one_of_the_two_orders(tenant, alice, slot, versions):
    rollout = started(
        slot,
        versions[2],
        alice,
        strategy="canary",
        percents=[50, 100],
        health_gates=["errors"],
        bake=timedelta(),
    )
    at_once(
        tenant,
        lambda: services.advance_rollout(rollout_id=rollout.pk),
        lambda: services.roll_back_slot(slot=slot, actor=alice, reason="race"),
    )
    rollout.refresh_from_db()
    slot.refresh_from_db()
    assert rollout.state == "aborted" and slot.canary_version is None
    assert slot.current_version in (versions[0], versions[1])
    assert not rollout.slots.filter(held=True).exists()


def test_what_two_workers_sweep_at_once_moves_one_step(tenant, alice, slot, versions):
    rollout = started(
        slot, versions[2], alice, strategy="canary", percents=[5, 50, 100], health_gates=["errors"]
    )
    later = clock.now() + timedelta(minutes=11)

    def sweep():
        with clock.at(later):
            return services.advance_rollout(rollout_id=rollout.pk)

    at_once(tenant, sweep, sweep, sweep)
    assert list(rollout.steps.order_by("number").values_list("state", flat=True)) == [
        "passed", "baking", "waiting",
    ]  # fmt: skip


def test_a_worker_that_is_killed_in_a_step_has_done_nothing_and_the_next_one_does_it_once(
    tenant, alice, slot, versions
):
    rollout = started(slot, versions[2], alice, health_gates=["errors"], strategy="canary", percents=[5, 100])
    later = clock.now() + timedelta(minutes=11)
    stepped, die, died = Event(), Event(), []
    victim = []

    def work():
        try:
            with db.tenants([tenant.pk]), clock.at(later):
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_backend_pid()")
                    victim.append(cursor.fetchone()[0])
                services.advance_rollout(rollout_id=rollout.pk)
                stepped.set()
                die.wait(20)
        except OperationalError:
            died.append(True)
        finally:
            connections.close_all()

    worker = Thread(target=work)
    worker.start()
    assert stepped.wait(20), "it has written its step and not committed"
    slot.refresh_from_db()
    assert slot.current_version == versions[1]
    with clock.at(later):
        assert tasks.advance(tenant_id=tenant.pk) == 0, "it is another worker's, who may yet commit"
    with connection.cursor() as cursor:  # its own role may end it
        cursor.execute("SELECT pg_terminate_backend(%s)", victim)
    die.set()
    worker.join(20)
    assert died
    slot.refresh_from_db()
    assert slot.current_version == versions[1], "nothing of it is left"
    with clock.at(later):
        assert tasks.advance(tenant_id=tenant.pk) == 1
        assert tasks.advance(tenant_id=tenant.pk) == 0, "the whole bakes now"
    slot.refresh_from_db()
    assert slot.current_version == versions[2]
    assert SlotBinding.objects.filter(slot=slot, version=versions[2]).count() == 1
