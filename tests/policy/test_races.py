"""Two at once: real threads, real transactions, one truth afterwards."""

from threading import Thread

import pytest
from django.db import connection, connections, transaction

from arm import db
from arm.errors import Conflict
from arm.rights import Right
from policy import services
from policy.engine import Mode
from policy.models import Policy, PolicyVersion, Posture
from tests import make
from tests.at_once import at_once
from tests.policy.asking import until
from tests.policy.test_limits import reserve

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


def stoppers(acme, count):
    people = [make.user(member_of=acme) for _ in range(count)]
    for person in people:
        make.grant(person, acme, Right.RESTRICT_WIDELY)
    return people


def test_two_confirmations_at_once_make_one_stop(acme):
    dan, judy, kim = stoppers(acme, 3)
    request = services.request_restriction(
        scope=acme, mode=Mode.PAUSED, actor=dan, reason_code="security", reason="breach"
    )

    def confirm(person):
        return lambda: services.confirm_restriction(request=request, actor=person, digest=request.digest)

    results = at_once(acme, confirm(judy), confirm(kim))
    assert sum(isinstance(result, Conflict) for result in results) == 1
    assert Posture.objects.filter(tenant=acme).count() == 1
    assert request.decisions.count() == 1


def test_a_yes_and_a_no_at_once_end_in_one_answer(acme):
    dan, judy, kim = stoppers(acme, 3)
    request = services.request_restriction(
        scope=acme, mode=Mode.PAUSED, actor=dan, reason_code="security", reason="breach"
    )
    at_once(
        acme,
        lambda: services.confirm_restriction(request=request, actor=judy, digest=request.digest),
        lambda: services.decline_restriction(request=request, actor=kim, reason="no"),
    )
    request.refresh_from_db()
    assert Posture.objects.filter(tenant=acme).exists() == (request.state == "confirmed")
    assert request.decisions.count() == 1


def test_the_same_stop_set_and_confirmed_at_once_stands_once(acme):
    dan, judy = stoppers(acme, 2)
    make.grant(judy, acme, Right.MANAGE_INCIDENT)
    grace = make.user(member_of=acme)
    make.grant(grace, acme, Right.MANAGE_INCIDENT)
    template = make.template(tenant=acme)
    asked = {"scope": template, "mode": Mode.PAUSED, "reason": "it misbehaves"}
    request = services.request_restriction(actor=grace, reason_code="quality", **asked)
    at_once(
        acme,
        lambda: services.confirm_restriction(request=request, actor=judy, digest=request.digest),
        lambda: services.set_posture(actor=dan, **asked),
    )
    assert Posture.objects.filter(template=template).count() == 1


def test_eight_at_once_share_a_limit_of_five(acme):
    instance = make.instance(version=make.approved(template=make.template(tenant=acme)))
    results = at_once(acme, *[lambda: reserve(instance, most=5).amount] * 8)
    assert sorted(results) == [0, 0, 0, 1, 1, 1, 1, 1]
