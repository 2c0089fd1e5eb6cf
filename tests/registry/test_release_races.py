"""Rollouts and rollbacks at once: real threads, real transactions, a worker that dies, one truth afterwards."""

import time
from datetime import timedelta
from threading import Event, Thread

import pytest
from django.db import OperationalError, connection, connections
from django.test import Client

from arm import clock, db
from arm.errors import Conflict
from arm.ids import uuid7
from registry import services, tasks
from registry.gates import GateRefused
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


def test_of_two_people_who_confirm_the_same_step_at_once_one_does_and_the_next_step_waits(
    tenant, alice, slot, versions
):
    rollout = started(
        slot, versions[2], alice, strategy="canary", percents=[5, 50, 100], health_gates=["manual"],
        bake=timedelta(),
    )  # fmt: skip

    def confirm():
        return services.confirm_step(rollout=rollout, step=1, actor=alice, reason="read the answers")

    results = at_once(tenant, confirm, confirm, confirm)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "Conflict", "Rollout"]
    assert list(rollout.steps.order_by("number").values_list("state", flat=True)) == [
        "passed", "baking", "waiting",
    ]  # fmt: skip
    slot.refresh_from_db()
    assert slot.canary_share == 50


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


def test_a_change_of_an_environment_and_a_start_at_once_never_wait_for_each_other(
    tenant, alice, slot, versions
):
    for turn in range(4):
        slot.environment.refresh_from_db()
        rollout = planned(slot, versions[2 + turn % 2], alice)
        risk = "high" if slot.environment.risk_default != "high" else "low"
        changed, begun = at_once(
            tenant,
            lambda risk=risk: services.update_environment(
                environment=slot.environment, actor=alice, reason="race", risk_default=risk
            ),
            lambda rollout=rollout: services.start_rollout(rollout=rollout, actor=alice, reason="race"),
        )
        assert isinstance(begun, Rollout), begun
        slot.environment.refresh_from_db()
        if isinstance(changed, Conflict):
            assert rollout.typeid in changed.extra["rollouts"] and slot.environment.risk_default != risk
        else:
            assert slot.environment.risk_default == risk, changed
        services.abort_rollout(rollout=Rollout.objects.get(pk=rollout.pk), actor=alice, reason="done")


def after(tenant, first, second):
    """`first` has written and not committed when `second` begins; it commits while that waits, or has not waited."""
    written = Event()

    def begins():
        made = first()
        written.set()
        time.sleep(1)
        return made

    def follows():
        assert written.wait(10)
        return second()

    return at_once(tenant, begins, follows)


@pytest.fixture
def gated(committed, settings, tenant):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]


@pytest.mark.usefixtures("gated")
@pytest.mark.parametrize("share", [25, 100])
def test_no_step_takes_what_is_being_deprecated_meanwhile(tenant, alice, slot, versions, share):
    harmful = versions[2]
    rollout = started(
        slot, harmful, alice, strategy="canary", percents=sorted({5, share, 100}), health_gates=["errors"],
        bake=timedelta(),
    )  # fmt: skip
    after(
        tenant,
        lambda: services.deprecate_for(version=harmful, incident=uuid7(), actor=None, reason="harm"),
        lambda: services.advance_rollout(rollout_id=rollout.pk),
    )
    slot.refresh_from_db()
    harmful.refresh_from_db()
    assert harmful.state == "deprecated"
    assert slot.current_version == versions[1] and slot.canary_share == 5, "the step found it deprecated"


@pytest.mark.usefixtures("gated")
def test_a_rollback_does_not_end_on_what_another_one_has_just_left(tenant, alice, slot, versions):
    other = bound(make.slot(environment=slot.environment), versions[2], versions[0], actor=alice)
    left = versions[1]
    assert slot.current_version == left and slot.goes_back_to == versions[0]
    _, back = after(
        tenant,
        lambda: services.roll_back_slot(slot=other, leaving=versions[0], actor=alice, reason="It lies"),
        lambda: services.roll_back_slot(slot=slot, leaving=left, actor=alice, reason="It lies, too"),
    )
    slot.refresh_from_db()
    assert isinstance(back, Conflict) and slot.current_version == left


@pytest.mark.usefixtures("gated")
def test_no_role_is_given_to_what_is_being_deprecated_meanwhile(tenant, alice, slot, versions):
    _, given = after(
        tenant,
        lambda: services.deprecate_for(version=versions[3], incident=uuid7(), actor=None, reason="harm"),
        lambda: services.assign_role(
            role=slot.role, environment=slot.environment, version=versions[3], actor=alice, reason="race"
        ),
    )
    assert isinstance(given, GateRefused) and not versions[3].role_assignments.exists()


def test_an_advance_and_a_rollback_that_compares_what_was_read_never_wait_for_each_other(
    tenant, alice, slot, versions
):
    """The one takes the rollout and then its slot; so does the other, before it compares."""
    rollout = started(
        slot, versions[2], alice, strategy="canary", percents=[50, 100], health_gates=["errors"], bake=timedelta()
    )  # fmt: skip
    address = f"/api/v1/registry/slots/{slot.typeid}/"
    client, asked = Client(), {"leaving": versions[1].typeid, "reason": "It lies"}
    client.force_login(alice)
    read = client.get(address)
    locking = Event()

    def advance():
        with connection.execute_wrapper(slowly):
            return services.advance_rollout(rollout_id=rollout.pk)

    def slowly(execute, sql, params, many, context):
        if "registry_deploymentslot" in sql and "FOR UPDATE" in sql and not locking.is_set():
            locking.set()  # it has the rollout, and is about to take the slot
            time.sleep(1)
        return execute(sql, params, many, context)

    def roll_back():
        assert locking.wait(10)
        return client.post(
            f"{address}roll-back/", asked, content_type="application/json", headers={"If-Match": read["ETag"]}
        )

    advanced, answer = at_once(tenant, advance, roll_back)
    assert advanced is True and answer.status_code in {201, 412}, answer.content
