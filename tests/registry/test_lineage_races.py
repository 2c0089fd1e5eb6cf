"""Two who would close a circle together: real threads, real transactions, no circle afterwards."""

import pytest
from django.db import IntegrityError

from arm import db
from arm.errors import Conflict, Invalid
from registry import services
from registry.models import VersionParent
from tests import make
from tests.registry.test_races import at_once

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def tenant():
    return make.tenant()


@pytest.fixture
def alice(tenant):
    return make.everything(make.user(member_of=tenant), tenant)


def test_two_halves_of_a_circle_named_at_once_are_one_half(tenant, alice):
    template = make.template(tenant=tenant)
    with db.tenants([tenant.pk]):
        a, b = make.version(template=template), make.version(template=template)

    def name(version, parent):
        try:
            return services.name_parents(version=version, parents=[parent], actor=alice, reason="race")
        except Invalid as refusal:
            return refusal

    results = at_once(tenant, lambda: name(a, b), lambda: name(b, a))
    assert sorted(type(result).__name__ for result in results) == ["AgentVersion", "Invalid"]
    with db.tenants([tenant.pk]):
        assert VersionParent.objects.filter(version__in=[a, b]).count() == 1


def test_two_inserts_past_the_service_do_not_close_a_circle_either(tenant):
    template = make.template(tenant=tenant)
    with db.tenants([tenant.pk]):
        a, b, c = (make.version(template=template) for _ in range(3))
        VersionParent.objects.create(tenant=tenant, version=b, parent=c)

    def insert(version, parent):
        try:
            return VersionParent.objects.create(tenant=tenant, version=version, parent=parent)
        except IntegrityError:
            raise Conflict("circle") from None

    results = at_once(tenant, lambda: insert(a, b), lambda: insert(c, a))
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "VersionParent"]
