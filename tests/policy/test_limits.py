"""Counting: what is handed out never exceeds the limit, however many ask at once."""

from decimal import Decimal

import pytest

from policy import services
from policy.engine import LimitKey, Per, Unit
from policy.models import LimitLease, LimitUsage
from tests import make

pytestmark = pytest.mark.django_db
CALLS = LimitKey(Per.DAY, Unit.CALLS)
MONEY = LimitKey(Per.DAY, Unit.MONEY, "USD")


@pytest.fixture
def instance():
    return make.instance(version=make.approved(template=make.template(tenant=make.tenant())))


def reserve(instance, wanted=1, most=10, key=CALLS, window="2026-11-22"):
    return services.reserve_limit(
        tenant_id=instance.tenant_id,
        instance_id=instance.pk,
        key=key,
        most=Decimal(most),
        wanted=Decimal(wanted),
        window=window,
        holder="test",
    )


def test_a_lease_covers_what_is_wanted_and_counts_as_used(instance):
    assert reserve(instance, wanted=4).amount == 4
    assert LimitUsage.objects.get().used == 4


def test_large_limits_are_handed_out_in_slices(instance):
    assert reserve(instance, most=1000).amount == 20
    assert reserve(instance, wanted="0.01", most=100, key=MONEY).amount == 2


def test_a_small_limit_is_handed_out_call_by_call(instance):
    assert [reserve(instance, most=3).amount for _ in range(4)] == [1, 1, 1, 0]


def test_more_than_is_left_is_not_handed_out_in_part(instance):
    reserve(instance, wanted=8)
    assert reserve(instance, wanted=3).amount == 0
    assert reserve(instance, wanted=2).amount == 2


def test_each_window_and_each_agent_counts_for_itself(instance):
    reserve(instance, wanted=10)
    assert reserve(instance, wanted=10, window="2026-11-23").amount == 10
    assert reserve(make.instance(), wanted=10).amount == 10


def test_what_is_left_of_a_lease_comes_back_once(instance):
    lease = reserve(instance, wanted=10)
    for _ in range(2):
        services.settle_limit(lease_id=lease.id, left=Decimal(4))
    assert LimitUsage.objects.get().used == 6
    assert LimitLease.objects.get().returned == 4


def test_nobody_returns_more_than_they_had(instance):
    lease = reserve(instance, wanted=2)
    services.settle_limit(lease_id=lease.id, left=Decimal(5))
    assert LimitUsage.objects.get().used == 0
