"""What is kept of live instances while many change it: nobody waits for it, and nothing of it is lost."""

from threading import Event, Thread

import pytest
from django.db import DatabaseError, connection, connections
from django.db.models import Sum

from arm import db
from registry.models import AgentInstance, LiveCount
from tests import make
from tests.at_once import at_once
from tests.registry.counting import agree, kept

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def tenant():
    return make.tenant()


def test_nobody_waits_for_the_count_of_another(tenant):
    """While one transaction is open, others count the same version; afterwards the next change makes one row of all."""
    version, place, host = make.approved(), make.environment("dev"), make.provider("cloud")
    counted_first, go_on = Event(), Event()

    def one(name: str) -> AgentInstance:
        return make.instance(version=version, environment=place, provider=host, name=name)

    one("before")

    def slow() -> None:
        try:
            with db.tenants([tenant.pk]):
                one("slow")
                counted_first.set()
                go_on.wait(20)
        finally:
            connections.close_all()

    thread = Thread(target=slow)
    thread.start()
    try:
        assert counted_first.wait(20)
        with db.tenants([tenant.pk]), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            one("quick")
            assert sum(kept().values()) == 2, "what is not committed is not seen"
    finally:
        go_on.set()
        thread.join(20)
    with db.tenants([tenant.pk]):
        assert agree() and sum(kept().values()) == 3
        assert LiveCount.objects.count() == 2
        one("last")
        assert agree() and LiveCount.objects.get().live == 4


def test_eight_at_once_are_eight(tenant):
    version, place, host = make.approved(), make.environment("dev"), make.provider("cloud")
    acts = [lambda: make.instance(version=version, environment=place, provider=host) for _ in range(8)]
    assert len(at_once(tenant, *acts)) == 8
    with db.tenants([tenant.pk]):
        assert agree() and LiveCount.objects.aggregate(Sum("live"))["live__sum"] == 8


def test_a_stricter_transaction_counts_what_another_has_counted_since_it_began(tenant):
    """Above READ COMMITTED, to take a row that has gone since would fail the whole transaction."""
    version, place, host = make.approved(), make.environment("dev"), make.provider("cloud")
    make.instance(version=version, environment=place, provider=host)
    began, go_on, failed = Event(), Event(), []

    def strict() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            with db.tenants([tenant.pk]):
                assert AgentInstance.objects.count() == 1
                began.set()
                assert go_on.wait(20)
                make.instance(version=version, environment=place, provider=host)
        except DatabaseError as error:
            failed.append(error)
        finally:
            connections.close_all()

    thread = Thread(target=strict)
    thread.start()
    try:
        assert began.wait(20)
        with db.tenants([tenant.pk]):
            make.instance(version=version, environment=place, provider=host)
    finally:
        go_on.set()
        thread.join(20)
    assert not failed
    with db.tenants([tenant.pk]):
        assert agree() and sum(kept().values()) == 3
