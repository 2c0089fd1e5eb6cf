"""Two at once: real threads, real transactions, one truth afterwards."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django_q.models import OrmQ

from arm import db
from arm.errors import Conflict
from arm.models import ChangeRecord
from registry import services
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, AgentVersion, BulkRow, InstanceInterval, SlotBinding
from registry.services import many, working_off
from registry.tasks import wake_stalled_bulk, work_off_bulk
from tests import make
from tests.registry.genomes import example, tool

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def tenant(settings):
    settings.BINDING_GATES = settings.PROMOTION_GATES = settings.RETIREMENT_GATES = []
    return make.tenant()


@pytest.fixture
def alice(tenant):
    return make.everything(make.user(member_of=tenant), tenant)


def at_once(tenant: Any, *calls: Callable[[], Any]) -> list[Any]:
    """Every call in a thread and a transaction of its own, let go together: their results, or the refusals, in this order."""
    barrier, results = Barrier(len(calls)), {}

    def run(number: int, call: Callable[[], Any]) -> None:
        try:
            with db.tenants([tenant.pk]):
                barrier.wait(10)
                results[number] = call()
        except Conflict as refusal:
            results[number] = refusal
        finally:
            connections.close_all()

    threads = [Thread(target=run, args=numbered) for numbered in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == len(calls)
    return [results[number] for number in range(len(calls))]


def create(template, actor, **changes):
    return services.create_version(
        template=template, genome=example(template=template.typeid, **changes), actor=actor, reason="race"
    )


def test_versions_made_at_once_get_numbers_of_their_own(tenant, alice):
    template = make.template(tenant=tenant)
    calls = [lambda n=n: create(template, alice, tools=[tool(f"tool-{n}")]) for n in range(4)]
    made = at_once(tenant, *calls)
    assert sorted(version.number for version in made) == [1, 2, 3, 4]


def test_the_same_genome_made_at_once_is_one_version(tenant, alice):
    template = make.template(tenant=tenant)
    results = at_once(tenant, *[lambda: create(template, alice)] * 4)
    (made,) = [result for result in results if isinstance(result, AgentVersion)]
    assert {refusal.existing for refusal in results if refusal is not made} == {made}


def test_a_slot_bound_at_once_to_several_has_one_current_binding_and_no_gap(tenant, alice):
    template = make.template(tenant=tenant)
    versions = [make.version(template=template, state=VersionState.APPROVED) for _ in range(3)]
    slot = make.slot(environment=make.environment(tenant=tenant))

    def bind(version):
        return lambda: services.bind_slot(slot=slot, version=version, actor=alice, reason="race")

    at_once(tenant, *[bind(version) for version in versions])
    slot.refresh_from_db()
    assert slot.generation == 3
    history = list(SlotBinding.objects.filter(slot=slot).order_by("since"))
    assert [row.until for row in history] == [history[1].since, history[2].since, None]
    assert (slot.current_version_id, slot.previous_version_id) == (
        history[2].version_id,
        history[1].version_id,
    )


def test_an_instance_stopped_by_several_at_once_is_stopped_once(tenant, alice):
    instance = make.instance(version=make.approved(template=make.template(tenant=tenant)))

    def stop():
        return services.restrict_instance(
            instance=instance, to=InstanceState.QUARANTINED, actor=alice, reason="race"
        )

    at_once(tenant, stop, stop, stop)
    instance = AgentInstance.objects.get(pk=instance.pk)
    assert (instance.state, instance.generation) == (InstanceState.QUARANTINED, 2)
    assert InstanceInterval.objects.filter(instance=instance, until=None).count() == 1


def test_a_pause_and_a_release_at_once_leave_a_state_that_its_history_explains(tenant, alice):
    instance = make.instance(version=make.approved(template=make.template(tenant=tenant)))
    services.restrict_instance(instance=instance, to=InstanceState.PAUSED, actor=alice, reason="first")

    def move(to):
        return lambda: services.move_instance(instance=instance, to=to, actor=alice, reason="race")

    at_once(tenant, move(InstanceState.QUARANTINED), move(InstanceState.DRAINING))
    now = AgentInstance.objects.get(pk=instance.pk)
    open_interval = InstanceInterval.objects.get(instance=instance, until=None)
    assert now.state == open_interval.state == InstanceState.QUARANTINED


def test_a_large_act_whose_workers_connection_is_cut_is_woken_and_done_once(tenant, alice, monkeypatch):
    monkeypatch.setattr(many, "AT_ONCE", 0)
    monkeypatch.setattr(working_off, "STEP", 2)
    with db.tenants([tenant.pk]):
        rows = [make.template(tenant=tenant) for _ in range(5)]
        run = services.preview_bulk(
            tenant=tenant,
            action="add_tag",
            targets=[row.pk for row in rows],
            params={"tag": "x"},
            actor=alice,
        )
    services.work_off_bulk(tenant_id=tenant.pk, run_id=run.pk)
    with db.tenants([tenant.pk]):
        services.apply_bulk(run=run, actor=alice, reason="sorted")
    at_work, cut, told = Event(), Event(), []
    act, done = many.BULK_ACTIONS["add_tag"], count(1)

    def carry_out(row, params, actor, reason):
        act.carry_out(row, params, actor, reason)
        if next(done) == 4:  # in the second step, with one row of it done
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                told.append(cursor.fetchone()[0])
            at_work.set()
            cut.wait(10)

    def worker():
        try:
            services.work_off_bulk(tenant_id=tenant.pk, run_id=run.pk)
        except OperationalError as lost:
            told.append(lost)
        finally:
            connections.close_all()

    monkeypatch.setitem(many.BULK_ACTIONS, "add_tag", replace(act, carry_out=carry_out))
    thread = Thread(target=worker)
    thread.start()
    assert at_work.wait(10)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [told[0]])
        assert cursor.fetchone() == (True,)
    cut.set()
    thread.join(30)
    assert isinstance(told[1], OperationalError)
    monkeypatch.setitem(many.BULK_ACTIONS, "add_tag", act)

    def outcomes():
        with db.tenants([tenant.pk]):
            return Counter(BulkRow.objects.filter(run=run).values_list("outcome", flat=True))

    assert outcomes() == {"applied": 2, "": 3}  # whole steps only
    before = OrmQ.objects.count()
    with db.tenants([tenant.pk]):
        assert wake_stalled_bulk(tenant_id=tenant.pk) == 0  # it may be on its way
        monkeypatch.setattr(working_off, "STALLED", timedelta(0))
        assert wake_stalled_bulk(tenant_id=tenant.pk) == 1
    assert OrmQ.objects.count() == before + 1
    assert OrmQ.objects.latest("pk").task["kwargs"]["path"] == "registry.tasks.work_off_bulk"
    work_off_bulk(tenant_id=tenant.pk, run_id=str(run.pk))
    assert outcomes() == {"applied": 5}
    with db.tenants([tenant.pk]):
        told_of = ChangeRecord.objects.filter(
            verb="registry.template.updated", target_id__in=[r.pk for r in rows]
        )
        assert told_of.count() == 5
        assert wake_stalled_bulk(tenant_id=tenant.pk) == 0


def test_events_of_candidates_are_stored_while_these_are_asked_anew(tenant):
    with db.tenants([tenant.pk]):
        version = make.version(state=VersionState.CANDIDATE)
    stored: list[Any] = []

    def refer() -> None:  # as the foreign key of an event does at its commit
        try:
            with db.tenants([tenant.pk]), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '3s'")
                cursor.execute("SELECT FROM registry_agentversion WHERE id = %s FOR KEY SHARE", [version.pk])
                stored.append(cursor.rowcount)
        except OperationalError as refusal:
            stored.append(refusal)
        finally:
            connections.close_all()

    with db.tenants([tenant.pk]):
        services.recheck_candidates(tenant_id=tenant.pk)
        event = Thread(target=refer)
        event.start()
        event.join(30)
    assert stored == [1]
