"""Whoever owns what lacks somebody is told once: agents without an owner, roles that nobody does for a while."""

from datetime import timedelta

import pytest

from arm import clock
from registry import services
from registry.models import AgentTemplate, Environment, InstanceStatus, Ownership
from telemetry.models import Incident
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(tenant):
    return make.user("alice", member_of=tenant)


def look(tenant, **later):
    with clock.at(clock.now() + timedelta(**later)):
        return services.tell_lacking(tenant_id=tenant.pk)


def owned(template, by):
    return Ownership.objects.create(tenant=template.tenant, template=template, user=by)


def test_an_agent_that_nobody_answers_for_is_told_once_not_every_night(tenant):
    agent = make.template("refunds", name="Refunds")
    assert look(tenant, days=2) == 1
    incident = Incident.objects.get()
    assert (incident.template, incident.title) == (agent, "Nobody answers for Refunds")
    Incident.objects.update(state="resolved", root_cause="x", remediation="y")
    assert look(tenant, days=3) == 0 and look(tenant, days=30) == 0
    assert Incident.objects.count() == 1


def test_one_that_was_just_registered_has_a_day_to_find_an_owner(tenant):
    make.template()
    assert look(tenant, hours=23) == 0
    assert look(tenant, hours=25) == 1


def test_one_that_has_an_owner_is_not_told_and_one_that_loses_them_again_is(tenant, alice):
    agent = make.template()
    row = owned(agent, alice)
    assert look(tenant, days=2) == 0
    row.until = clock.now()
    row.save(update_fields=["until"])
    assert look(tenant, days=2) == 1
    Incident.objects.update(state="resolved", root_cause="x", remediation="y")
    again = owned(agent, alice)
    assert look(tenant, days=2) == 0
    assert AgentTemplate.objects.get().ownerless_told_at is None
    again.until = clock.now()
    again.save(update_fields=["until"])
    assert look(tenant, days=3) == 1


# roles


@pytest.fixture
def clerk(tenant):
    make.environment("prod", name="Production")
    return make.role("clerk", name="Clerk", coverage=[{"environment": "prod", "least": 1}])


def test_a_role_that_has_lacked_somebody_for_an_hour_is_told_once(tenant, clerk):
    assert look(tenant) == 0, "a restart is no gap"
    assert look(tenant, minutes=59) == 0
    assert look(tenant, minutes=61) == 1
    incident = Incident.objects.get()
    assert incident.title == "Clerk lacks somebody in prod" and incident.facts["role"] == clerk.typeid
    assert look(tenant, hours=5) == 0


def test_a_role_whose_gap_was_closed_is_told_anew_if_it_comes_back(tenant, alice, clerk):
    look(tenant)
    assert look(tenant, hours=2) == 1
    Incident.objects.update(state="resolved", root_cause="x", remediation="y")
    agent = make.template()
    owned(agent, alice)
    prod = Environment.objects.get(slug="prod")
    at_work = make.instance(version=make.approved(template=agent), role=clerk, environment=prod)
    InstanceStatus.objects.filter(instance=at_work).update(heartbeat_at=clock.now() + timedelta(hours=3))
    assert look(tenant, hours=3) == 0
    clerk.refresh_from_db()
    assert clerk.gaps_told == []
    InstanceStatus.objects.filter(instance=at_work).update(heartbeat_at=clock.now() - timedelta(days=1))
    assert look(tenant, hours=4) == 0
    assert look(tenant, hours=6) == 1
