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
