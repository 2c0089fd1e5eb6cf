"""What telemetry, costs and evaluation say of a version at work, and that they say nothing when they know nothing."""

from datetime import timedelta

import pytest

from arm import clock
from arm.ports import implementations
from registry import facts as health
from registry.engine import Health, judge
from telemetry.parsing import Status
from tests import make
from tests.registry.releasing import running

pytestmark = pytest.mark.django_db


@pytest.fixture
def slot():
    make.tenant("acme")
    return make.slot()


def told(slot, new, name, against=None, since=timedelta(hours=1), **limits):
    (fact,) = health.health_facts(
        version=new, slots=[slot], since=clock.now() - since, against=against, limits=limits, wanted=[name]
    )
    return fact


def test_four_gates_have_somebody_who_answers():
    assert health.health_gates() == ("errors", "incidents", "cost", "evaluation")
    assert len(implementations("HEALTH_FACTS")) == 3


@pytest.mark.parametrize("name", ["errors", "incidents", "cost", "evaluation"])
def test_where_nothing_is_known_nothing_is_healthy(slot, old, new, name):
    running(slot, new, 1)
    assert told(slot, new, name, old).ok is None


@pytest.mark.parametrize(("failed", "ok"), [(0, True), (1, True), (2, False)])
def test_errors_are_the_share_of_calls_that_failed(slot, new, failed, ok):
    (at_work,) = running(slot, new, 1)
    for number in range(20):
        make.event(at_work, status=Status.ERROR if number < failed else Status.OK)
    fact = told(slot, new, "errors", errors=5.0)
    assert (fact.value, fact.ok) == (5 * failed, ok)


def test_only_this_version_in_these_slots_since_then_counts(slot, old, new):
    (at_work,) = running(slot, new, 1)
    others = [make.instance(version=new), *running(slot, old, 1)]
    for other in others:
        for _ in range(9):
            make.event(other, status=Status.ERROR)
    for _ in range(9):
        make.event(at_work, status=Status.ERROR, occurred_at=clock.now() - timedelta(hours=2))
    for _ in range(5):
        make.event(at_work)
    assert told(slot, new, "errors").value == 0


def test_an_incident_of_it_is_unhealthy(slot, new):
    (at_work,) = running(slot, new, 1)
    for _ in range(5):
        make.event(at_work)
    assert told(slot, new, "incidents").ok
    make.incident(at_work)
    assert told(slot, new, "incidents").ok is False


def test_an_incident_that_stands_from_before_counts_as_well(slot, new):
    (at_work,) = running(slot, new, 1)
    with clock.at(clock.now() - timedelta(days=2)):
        make.incident(at_work)
    for _ in range(5):
        make.event(at_work)
    fact = told(slot, new, "incidents")
    assert (fact.value, fact.ok) == (1, False)


@pytest.mark.parametrize(("amount", "ok"), [("0.0060", True), ("0.0061", False)])
def test_a_call_may_cost_half_as_much_again_as_before(slot, old, new, amount, ok):
    (before,), (now,) = running(slot, old, 1), running(slot, new, 1)
    for _ in range(5):
        make.entry(before, "0.0040", occurred_at=clock.now() - timedelta(hours=3))
        make.entry(now, amount)
    fact = told(slot, new, "cost", old, cost=150.0)
    assert fact.ok is ok and fact.sentence.startswith("A call costs 0.006")


def test_two_currencies_are_not_compared(slot, old, new):
    (before,), (now,) = running(slot, old, 1), running(slot, new, 1)
    for _ in range(5):
        make.entry(before, occurred_at=clock.now() - timedelta(hours=3), currency="EUR")
        make.entry(now)
    fact = told(slot, new, "cost", old)
    assert fact.ok is None and "EUR" in fact.sentence


@pytest.mark.parametrize(("state", "ok"), [("passed", True), ("failed", False), ("errored", False)])
def test_the_newest_run_of_a_mandatory_suite_speaks(slot, new, state, ok):
    make.run(new, make.assigned(new.template).suite, state=state)
    assert told(slot, new, "evaluation").ok is ok


def test_one_bad_word_outweighs_every_good_one(slot, new):
    (at_work,) = running(slot, new, 1)
    for _ in range(5):
        make.event(at_work)
    make.run(new, make.assigned(new.template).suite, state="failed")
    wanted = ["errors", "evaluation"]
    found = health.health_facts(
        version=new, slots=[slot], since=clock.now() - timedelta(1), against=None, limits={}, wanted=wanted
    )
    assert judge(found, wanted) is Health.UNHEALTHY and judge(found, ["errors"]) is Health.HEALTHY
