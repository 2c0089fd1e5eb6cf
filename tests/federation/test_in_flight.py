"""What a provider says of the work in its instances counts before ARM retires one, and a stop above is not taken for a drain."""

from datetime import timedelta

import pytest

from arm import clock
from policy import services as policy
from policy.engine import Mode
from registry import services as registry
from registry.gates.draining import waits_for
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus
from registry.queries import all_draining, why_not_retired, with_why

from .provider import Adapter, newest, settled

pytestmark = pytest.mark.django_db


@pytest.fixture
def cloud() -> Adapter:
    """Its instance was replaced, and is told to drain."""
    made = settled()
    registry.restrict_instance(
        instance=made.one, to=InstanceState.DRAINING, actor=None, reason="It was replaced.", leaving=True
    )
    made.poll()
    return made


def held(cloud: Adapter) -> list[str]:
    """What is missing in 20 minutes, if nothing is said until then: asked of it alone, and as a row of a list."""
    row = AgentInstance.objects.select_related("status", "provider").get(pk=cloud.one.pk)
    with clock.at(clock.now() + timedelta(minutes=20)):
        found = [verdict.reason for verdict in waits_for(row)]
        (listed,) = why_not_retired(with_why(all_draining().filter(pk=cloud.one.pk)))
    assert [verdict.reason for verdict in listed.waits_for] == found
    return found


def retired(cloud: Adapter) -> bool:
    with clock.at(clock.now() + timedelta(minutes=20)):
        return registry.retire_drained(instance_id=cloud.one.pk)


def shown(cloud: Adapter) -> str:
    return InstanceStatus.objects.get(instance=cloud.one).state


def test_one_that_has_proven_that_it_drains_and_has_work_in_it_is_not_told_to_retire(cloud):
    command = newest(cloud.one)
    cloud.status(command, "applying", in_flight=7)
    assert cloud.prove(command).json()["ok"]
    assert held(cloud) == ["It has 7 pieces of work at its provider in flight."] and not retired(cloud)
    assert newest(cloud.one).to_state == "Draining"
    answer = cloud.status(command, "applying", in_flight=0).json()
    assert answer == {"state": "enforced", "terminal": True}, "what is left may be said when it is over"
    assert held(cloud) == [] and retired(cloud)
    assert newest(cloud.one).to_state == "Retired"


def test_the_last_word_counts_and_one_that_leaves_it_out_says_nothing_new(cloud):
    command = newest(cloud.one)
    cloud.status(command, "applying", in_flight=7)
    cloud.prove(command)
    cloud.runs(cloud.one, "Draining", command.generation)
    for said, left in ((3, 3), (None, 3), (0, 0)):
        (item,) = cloud.items()
        cloud.inventory([item | ({} if said is None else {"in_flight": said})])
        assert held(cloud) == ([f"It has {left} pieces of work at its provider in flight."] if left else [])


def test_a_failed_command_keeps_what_it_had(cloud):
    command = newest(cloud.one)
    cloud.status(command, "applying", in_flight=7)
    cloud.status(command, "failed", reason={"code": "stuck", "message": "It hangs."})
    cloud.status(command, "applying", in_flight=0)
    command.refresh_from_db()
    assert (command.state, command.in_flight) == ("failed", 7)


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.QUARANTINED])
def test_the_proof_of_a_stop_above_is_no_word_that_it_drains(cloud, mode):
    cloud.prove(newest(cloud.one))
    assert shown(cloud) == "draining"
    stop = policy.set_posture(scope=cloud.one.environment, mode=mode, actor=cloud.inviter, reason="Odd.")
    assert cloud.prove(newest(cloud.one)).json()["ok"]
    assert shown(cloud) == mode.value
    assert any("has not reported since that it drains" in said for said in held(cloud))
    policy.lift_posture(posture=stop, actor=cloud.inviter, reason="Done.") if mode == Mode.PAUSED else None
    if mode == Mode.PAUSED:
        assert shown(cloud) == ""
        cloud.prove(newest(cloud.one))
        assert shown(cloud) == "draining"
