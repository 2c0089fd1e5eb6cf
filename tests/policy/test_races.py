"""Two at once: real threads, real transactions, one truth afterwards."""

from threading import Thread

import pytest
from django.db import connection, connections, transaction

from arm import db
from arm.rights import Right
from policy import services
from policy.models import Policy, PolicyVersion
from tests import make
from tests.policy.asking import until

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def acme():
    return make.tenant()


def waits_for_a_lock():
    """Whether some session of this database stands still for somebody else's lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.datname = current_database()"
            " WHERE NOT l.granted AND (l.database = d.oid OR l.database IS NULL OR l.database = 0)"
        )
        return cursor.fetchone()[0] > 0


def while_held(rows, meanwhile, act):
    """What `act` gives when it had to wait for `rows`, and `meanwhile` was done before they were let go."""
    given = []

    tenant_id = rows.get().tenant_id

    def wait():
        try:
            with db.tenants([tenant_id]):
                given.append(act())
        finally:
            connections.close_all()

    other = Thread(target=wait)
    with transaction.atomic():
        list(rows.select_for_update())
        other.start()
        until(waits_for_a_lock, 10)
        meanwhile()
    other.join(20)
    return given[0]


def test_the_end_of_a_binding_names_its_policy_as_it_is_after_the_wait(acme):
    bob = make.user(member_of=acme)
    make.grant(bob, acme, Right.ACTIVATE_POLICY)
    policy = make.bound(acme)
    binding = policy.bindings.get()
    ended = while_held(
        policy.bindings.all(),
        lambda: Policy.objects.filter(pk=policy.pk).update(name="Renamed"),
        lambda: services.unbind_policy(binding=binding, actor=bob, reason="over"),
    )
    assert (ended.policy.name, ended.ended_by) == ("Renamed", bob)


def test_a_withdrawn_version_names_its_policy_as_it_is_after_the_wait(acme):
    bob = make.user(member_of=acme)
    make.grant(bob, acme, Right.DRAFT_POLICY)
    version = make.policy_version()
    withdrawn = while_held(
        PolicyVersion.objects.filter(pk=version.pk),
        lambda: Policy.objects.filter(pk=version.policy_id).update(name="Renamed"),
        lambda: services.withdraw_version(version=version, actor=bob, reason="over"),
    )
    assert withdrawn.policy.name == "Renamed"
