"""The demo's governance: built by the services, so everything in it could have happened."""

import pytest
from django.db import transaction

from arm import clock
from arm.demo import Demo, hire
from arm.models import User
from costs.demo.sending import SILENT
from policy import demo as policy_demo
from policy.lifecycle import RestrictionState
from policy.models import Binding, Posture, RestrictionRequest
from registry import demo as registry_demo
from registry.models import AgentInstance, AgentTemplate
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.unwatched]


def built(scale, seed=7):
    tenant = make.tenant("main")
    admin = User.objects.create_superuser("root", "", "x")
    demo = Demo(tenant=tenant, admin=admin, seed=seed, days=30, now=clock.now(), scale=scale, quiet=True)
    hire(demo, "correct horse battery")
    for build in (policy_demo.build, registry_demo.build, policy_demo.tighten):
        build(demo)
    return demo


def test_a_fleet_of_one_agent_has_its_requests_too():
    built(scale=0.03)
    assert AgentTemplate.objects.count() == 1
    assert set(RestrictionRequest.objects.values_list("state", flat=True)) == set(RestrictionState.values)


def test_the_demo_has_policies_stops_and_requests_of_every_outcome():
    demo = built(scale=0.15)
    assert {binding.target_kind for binding in Binding.objects.in_force()} >= {
        "tenant",
        "environment",
        "template",
    }
    assert Posture.objects.count() == 6 and not Posture.objects.in_force().exists()
    assert {posture.target_kind for posture in Posture.objects.all()} == {"tenant", "environment", "template"}
    asked = list(RestrictionRequest.objects.all())
    assert {request.true_state for request in asked} == set(RestrictionState.values)
    assert all(request.asked_at <= demo.now for request in asked)


def test_nobody_asks_to_stop_an_agent_that_never_reported():
    demo = built(scale=0.1)
    oldest = AgentInstance.objects.filter(tenant=demo.tenant).order_by("pk")[: demo.count(SILENT)]
    asked = RestrictionRequest.objects.exclude(instance=None)
    assert asked and not {request.instance_id for request in asked} & {one.pk for one in oldest}


def told(demo):
    """The fleet as people know it: by names, moments and reasons."""
    instances = AgentInstance.objects.filter(tenant=demo.tenant).order_by("name")
    postures = Posture.objects.filter(tenant=demo.tenant).order_by("set_at")
    requests = RestrictionRequest.objects.filter(tenant=demo.tenant).order_by("asked_at")
    return (
        [(str(one), str(one.version), one.created_at - demo.now, one.environment.slug) for one in instances],
        [(str(one.target), one.mode, one.set_at - demo.now, one.lifted_at - demo.now) for one in postures],
        [(str(one.target), one.reason, one.asked_at - demo.now) for one in requests],
    )


def test_the_same_seed_gives_the_same_fleet_and_another_seed_another():
    fleets = []
    for seed in (7, 7, 8):
        with transaction.atomic():
            fleets.append(told(built(scale=0.03, seed=seed)))
            transaction.set_rollback(True)
    assert fleets[0] == fleets[1] != fleets[2]
