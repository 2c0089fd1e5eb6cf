"""The rights on a page's buttons are the rights that the services will ask for."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser

from arm import clock
from arm.permissions import allowed, held_on
from arm.rights import Right
from tests import make

pytestmark = pytest.mark.django_db


def test_all_rights_at_once_are_each_right_asked_alone():
    acme = make.tenant("acme")
    low, high = make.template(risk="low"), make.template(risk="critical")
    running = make.instance(version=make.approved(template=low))
    alice, bob, root = make.user("alice"), make.user("bob"), make.user("root", is_superuser=True)
    make.grant(alice, acme, Right.READ_DIRECTORY)
    make.grant(alice, running.environment, Right.RESTRICT_INSTANCE)
    make.grant(alice, low, Right.CREATE_VERSION, expires_at=clock.now() - timedelta(days=1))
    make.grant(alice, acme, Right.APPROVE_VERSION, risk_max="medium")
    make.grant(bob, make.template(), *Right)
    idle = make.user("idle", is_active=False)
    make.grant(idle, acme, *Right)
    held = 0
    for actor in (alice, bob, root, idle, AnonymousUser()):
        for row in (low, high, running, running.version, running.environment, running.provider, acme):
            expected = {right for right in Right if allowed(actor, right, row)}
            held += len(expected)
            assert held_on(actor, row) == expected, f"{actor} on {row}"
    assert held > 200


def test_it_costs_one_query(django_assert_num_queries):
    running = make.instance()
    alice = make.everything(make.user("alice"), running.tenant)
    with django_assert_num_queries(1):
        assert held_on(alice, running) == set(Right)
