"""The fleet that benches ask about still fits the tables: else no figure is taken until somebody looks."""

import pytest

from arm.models import User
from bench.harness.fleet import INSTANCES_EACH, VERSIONS_EACH, fill, release
from registry.lifecycle import InstanceState
from registry.models import (
    AgentInstance,
    AgentVersion,
    Dependency,
    DeploymentSlot,
    Rollback,
    RolloutSlot,
    RolloutStep,
)
from registry.services import ensure_tenant_defaults
from tests import make

pytestmark = pytest.mark.django_db


def test_a_small_one_is_made_with_what_it_runs_uses_drains_and_rolled_back() -> None:
    acme, root = make.tenant("acme"), User.objects.create_superuser("root")
    ensure_tenant_defaults(tenant=acme, actor=root)
    agents = fill(acme, 30)
    release(acme, root, agents)
    assert AgentVersion.objects.count() == 30 * VERSIONS_EACH
    assert AgentInstance.objects.count() == 30 * VERSIONS_EACH * INSTANCES_EACH
    assert AgentInstance.objects.filter(state=InstanceState.DRAINING).count() == 2
    assert Dependency.objects.filter(kind="model").count() == 30 * VERSIONS_EACH
    assert DeploymentSlot.objects.filter(generation=2).exists() and Rollback.objects.count() == 3
    slots = DeploymentSlot.objects.filter(generation=2).count()
    assert RolloutStep.objects.count() == 4 * 3
    assert RolloutSlot.objects.count() == min(300, slots) + 2 * min(10, slots)
