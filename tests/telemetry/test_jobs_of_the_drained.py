"""A job without an outcome holds the retirement of whoever named it: for an hour of silence a person's, for a day ARM's."""

from datetime import timedelta

import pytest

from arm import clock
from registry.models import AgentInstance
from telemetry.plugins import JobsInFlight, JobsLeft
from tests import make

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def desk():
    row = make.instance()
    AgentInstance.objects.filter(pk=row.pk).update(created_at=clock.now() - timedelta(days=9))
    return AgentInstance.objects.get(pk=row.pk)


@pytest.mark.parametrize(
    ("begun", "heard", "person", "rule"),
    [
        (HOUR / 2, HOUR / 2, 1, False),
        (3 * HOUR, 2 * HOUR, 0, False),
        (72 * HOUR, HOUR / 60, 1, False),
        (72 * HOUR, 23 * HOUR, 0, False),
        (72 * HOUR, 25 * HOUR, 0, True),
    ],
)
def test_a_job_is_remembered_however_long_ago_it_began(desk, begun, heard, person, rule):
    now = clock.now()
    make.job(desk.tenant, "ticket-1", desk, first_seen_at=now - begun, last_seen_at=now - heard)
    asked = JobsInFlight().of([desk])
    assert asked == ({desk.pk: {"jobs without an outcome": person}} if person else {})
    assert (JobsLeft().of([desk]) == {}) == rule


def test_what_has_an_outcome_and_what_others_named_holds_nothing(desk):
    make.job(desk.tenant, "ticket-1", desk, outcome="resolved")
    other = make.instance(version=desk.version)
    make.job(desk.tenant, "ticket-2", other)
    found = JobsLeft().of([desk, other])
    assert found.keys() == {other.pk}
    assert found[other.pk].reason == "1 job of it without an outcome was heard of in the last day."
