"""The last word about an instance is the one whose moment is last: what comes late, or at the same time, undoes nothing."""

from datetime import datetime, timedelta

import pytest
from django.test import Client

from arm import clock
from registry import services
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus, Observation
from registry.queries.history import Moment, observed_at
from tests import make
from tests.at_once import at_once
from tests.policy.test_races import while_held
from tests.registry.past import MINUTE, NOON
from tests.registry.test_api import Caller


@pytest.fixture
def desk(db) -> AgentInstance:
    return make.instance()


def says(
    instance: AgentInstance, state: str, *, seen: datetime | None, heard: datetime, generation: int = 1
) -> None:
    with clock.at(heard):
        services.heartbeat(instance=instance, state=state, generation=generation, observed_at=seen)


def reported(instance: AgentInstance, at: datetime, known: datetime) -> str | None:
    found = observed_at(Moment(at, known), [instance.pk])
    return found[instance.pk].state if instance.pk in found else None


def test_a_report_from_before_the_last_confirmation_leaves_the_present(desk):
    says(desk, "active", seen=NOON, heard=NOON)
    says(
        desk, "active", seen=NOON + 30 * MINUTE, heard=NOON + 30 * MINUTE
    )  # the same again: no change, no row
    says(desk, "paused", seen=NOON + 20 * MINUTE, heard=NOON + 31 * MINUTE, generation=0)
    status = InstanceStatus.objects.get(instance=desk)
    assert (status.state, status.generation, status.observed_at) == ("active", 1, NOON + 30 * MINUTE)
    assert status.reported_at == NOON + 30 * MINUTE
    assert status.heartbeat_at == NOON + 31 * MINUTE  # whoever says something late lives


def test_the_history_has_the_late_report_in_its_place_and_ends_with_the_present(desk):
    says(desk, "active", seen=NOON, heard=NOON)
    says(desk, "active", seen=NOON + 30 * MINUTE, heard=NOON + 30 * MINUTE)
    says(desk, "paused", seen=NOON + 20 * MINUTE, heard=NOON + 31 * MINUTE)
    known = NOON + 31 * MINUTE
    assert [reported(desk, NOON + at * MINUTE, known) for at in (10, 25, 30, 31)] == [
        "active",
        "paused",
        "active",
        "active",
    ]
    assert (
        reported(desk, NOON + 25 * MINUTE, NOON + 30 * MINUTE) == "active"
    )  # as far as ARM had been told then


def test_a_report_without_a_moment_is_confirmed_when_it_came(desk):
    says(desk, "active", seen=None, heard=NOON)
    says(desk, "active", seen=None, heard=NOON + 10 * MINUTE)
    says(desk, "draining", seen=NOON + 9 * MINUTE, heard=NOON + 11 * MINUTE)
    assert InstanceStatus.objects.get(instance=desk).state == "active"
    says(desk, "draining", seen=NOON + 11 * MINUTE, heard=NOON + 12 * MINUTE)
    assert InstanceStatus.objects.get(instance=desk).state == "draining"


def test_of_two_reports_of_one_moment_the_one_told_last_counts(desk):
    says(desk, "active", seen=NOON, heard=NOON)
    says(desk, "paused", seen=NOON, heard=NOON + MINUTE)
    assert InstanceStatus.objects.get(instance=desk).state == "paused"


def test_what_drained_is_not_called_at_work_by_an_old_report_from_the_api(desk):
    me = Caller(Client(), make.workload_token(desk))
    now = clock.now()
    for state, ago in (("draining", 2), ("draining", 0), ("active", 1)):
        moment = (now - timedelta(seconds=ago)).isoformat()
        answer = me.send("post", "heartbeat/", {"state": state, "observed_at": moment})
        assert answer.status_code == 200, answer.json()
    assert InstanceStatus.objects.get(instance=desk).state == "draining"
    assert Observation.objects.filter(instance=desk, state="active").count() == 1


# at once


@pytest.mark.usefixtures("committed")
def test_a_report_that_waits_for_a_newer_one_does_not_overwrite_it():
    tenant = make.tenant()
    desk = make.instance(version=make.approved(template=make.template(tenant=tenant)))

    def newer() -> None:
        services.heartbeat(instance=desk, state="quarantined", generation=2, observed_at=clock.now())

    begun = clock.now() - MINUTE
    while_held(
        InstanceStatus.objects.filter(instance=desk),
        newer,
        lambda: services.heartbeat(instance=desk, state="active", generation=1, observed_at=begun),
    )
    status = InstanceStatus.objects.get(instance=desk)
    assert (status.state, status.generation) == ("quarantined", 2)
    rows = Observation.objects.filter(instance=desk).order_by("at").values_list("state", flat=True)
    assert list(rows) == ["active", "quarantined"]


@pytest.mark.usefixtures("committed")
def test_of_many_reports_at_once_the_latest_moment_remains():
    tenant = make.tenant()
    desk = make.instance(version=make.approved(template=make.template(tenant=tenant)))
    start = clock.now() - 60 * MINUTE

    def say(number: int):
        state = InstanceState.ACTIVE if number % 2 else InstanceState.PAUSED
        return lambda: services.heartbeat(
            instance=desk, state=state, generation=number, observed_at=start + number * MINUTE
        )

    at_once(tenant, *[say(number) for number in (3, 7, 1, 6, 2, 5)])
    status = InstanceStatus.objects.get(instance=desk)
    assert (status.state, status.generation, status.observed_at) == ("active", 7, start + 7 * MINUTE)
    last = Observation.objects.filter(instance=desk).order_by("-at", "-told_at", "-pk")[0]
    assert (last.state, last.generation) == ("active", 7)
    assert set(Observation.objects.filter(instance=desk).values_list("generation", flat=True)) == {
        1,
        2,
        3,
        5,
        6,
        7,
    }
