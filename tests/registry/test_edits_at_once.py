"""Two who change the same thing at once: real threads, real transactions, and nobody's word is lost unnoticed."""

import pytest

from arm import db
from arm import services as core
from arm.errors import Invalid
from arm.models import Membership
from registry import queries, services
from tests import make
from tests.at_once import at_once

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def tenant():
    return make.tenant()


@pytest.fixture
def alice(tenant):
    return make.everything(make.user(member_of=tenant), tenant)


@pytest.fixture
def bob(tenant):
    return make.user(member_of=tenant)


@pytest.fixture
def agent(tenant, alice):
    with db.tenants([tenant.pk]):
        return services.register_template(tenant=tenant, slug="mail", name="Mail", actor=alice, reason="r")


def test_who_leaves_while_they_are_made_an_owner_owns_nothing_afterwards(tenant, alice, bob, agent):
    with db.tenants([tenant.pk]):
        member = Membership.objects.get(user=bob)
    named, left = at_once(
        tenant,
        lambda: services.set_owners(template=agent, owners=[alice, bob], actor=alice, reason="r"),
        lambda: core.remove_member(member=member, actor=alice, reason="r"),
    )
    assert left is None and (named == agent or isinstance(named, Invalid))
    with db.tenants([tenant.pk]):
        assert queries.owners(agent) == (alice,)


def test_of_two_who_change_what_both_have_seen_one_is_told(tenant, alice, bob, agent):
    carol = make.user(member_of=tenant)
    seen = [alice.username]
    results = at_once(
        tenant,
        *(
            lambda one=one: services.set_owners(
                template=agent, owners=[alice, one], seen=seen, actor=alice, reason="r"
            )
            for one in (bob, carol)
        ),
    )
    (refused,) = [result for result in results if isinstance(result, services.ChangedMeanwhile)]
    with db.tenants([tenant.pk]):
        owners = sorted(person.username for person in queries.owners(agent))
    assert len(owners) == 2 and f"owners is “{', '.join(owners)}” by now" in refused.message


def test_of_two_who_bind_a_slot_that_both_saw_empty_one_is_told(tenant, alice, settings):
    settings.BINDING_GATES = []
    with db.tenants([tenant.pk]):
        slot, one, two = make.slot(), make.approved(), make.approved()
    results = at_once(
        tenant,
        *(
            lambda version=version: services.bind_slot(
                slot=slot, version=version, seen="", actor=alice, reason="r"
            )
            for version in (one, two)
        ),
    )
    assert sorted(isinstance(result, services.ChangedMeanwhile) for result in results) == [False, True]
