"""What stands below a stop is silent because it is denied everything: no rule retires it meanwhile, nor right afterwards."""

from datetime import timedelta

import pytest

from arm import clock
from policy import services
from policy.engine import Mode
from registry import services as registry
from registry.gates.draining import waits_for
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus
from tests import make

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
STOPS = [Mode.PAUSED, Mode.READ_ONLY, Mode.QUARANTINED, Mode.KILLED]


@pytest.fixture
def drained():
    """Replaced an hour ago, and has said since that it drains."""
    ago = clock.now() - timedelta(hours=1)
    row = make.instance(state=InstanceState.DRAINING, leaving=True, state_since=ago)
    InstanceStatus.objects.filter(instance=row).update(state="draining", reported_at=clock.now())
    return row


def held(row):
    again = AgentInstance.objects.select_related("status", "provider").get(pk=row.pk)
    return [verdict.reason for verdict in waits_for(again)]


def retired(row):
    registry.retire_drained(instance_id=row.pk)
    return AgentInstance.objects.get(pk=row.pk).state == InstanceState.RETIRED


@pytest.mark.parametrize("mode", STOPS)
@pytest.mark.parametrize("above", ["tenant", "environment", "provider", "template", "version"])
def test_nothing_is_retired_by_a_rule_below_a_stop(drained, above, mode):
    stop = make.posture(getattr(drained, above), mode=mode)
    assert not retired(drained)
    assert held(drained) == [
        f"A stop stands above it ({stop}): it is silent because of that, and is not retired by a rule meanwhile."
    ]


def test_a_stop_of_some_tools_holds_it_as_well(drained):
    make.posture(drained.tenant, mode=Mode.PAUSED, tool="crm_*")
    assert not retired(drained)


def test_a_stop_that_only_lets_it_finish_and_one_of_others_hold_nothing(drained):
    make.posture(drained.tenant, mode=Mode.DRAINING)
    make.posture(make.environment(tenant=drained.tenant), mode=Mode.QUARANTINED)
    assert retired(drained)


def test_what_may_work_again_is_given_time_to(drained):
    alice = make.everything(make.user("alice", member_of=drained.tenant), drained.tenant)
    stop = make.posture(drained.environment, mode=Mode.PAUSED)
    with clock.at(clock.now() + MINUTE):
        services.lift_posture(posture=stop, actor=alice, reason="Over")
        assert not retired(drained)
        assert "ended less than 15 minutes ago" in held(drained)[0]
    with clock.at(clock.now() + 14 * MINUTE):
        assert not retired(drained)
    with clock.at(clock.now() + 17 * MINUTE):
        assert retired(drained)


def test_a_stop_that_has_ended_by_time_counts_for_as_long(drained):
    until = clock.now() + 5 * MINUTE
    make.posture(drained.environment, mode=Mode.PAUSED, until=until)
    with clock.at(until + 14 * MINUTE):
        assert not retired(drained)
    with clock.at(until + 16 * MINUTE):
        assert retired(drained)
