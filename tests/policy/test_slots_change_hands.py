"""Who works in a slot may start runs: what it is bound to, its canary, and what works on until it is replaced."""

import pytest

from policy.gateway import lane
from registry import services
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, Handover
from tests import make
from tests.policy.asking import send, until
from tests.registry.releasing import bound, running, started

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def own_process(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    lane._process = None
    yield
    if lane._process is not None:
        lane._process.leave()
    lane._process = None


@pytest.fixture
def rita():
    tenant = make.tenant()
    make.bound(tenant)
    return make.hired(f"rita of {tenant.slug}", "release_manager", tenant)


@pytest.fixture
def tenant(rita):
    return rita.memberships.get().tenant


@pytest.fixture
def old(tenant):
    return make.approved(template=make.template(tenant=tenant))


@pytest.fixture
def new(old):
    return make.approved(template=old.template)


@pytest.fixture
def slot(tenant, rita, old):
    place = make.environment(tenant=tenant, production=True)
    slot = make.slot(environment=place, role=make.role(tenant=tenant), provider=make.provider(tenant=tenant))
    return bound(slot, old, actor=rita)


def may_start(token):
    answer = send("/api/v1/policy/decide", token, {"action": "run_start", "job": "j"})
    return answer.decision if answer.decision == "allow" else answer.codes[0]


def at_work(slot, version):
    """The replacements that the release has provisioned, at work."""
    rows = list(version.instances.filter(slot=slot))
    AgentInstance.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=InstanceState.ACTIVE, leaving=False
    )
    return rows


def test_a_canary_may_work_and_may_not_once_it_is_taken_back(slot, rita, old, new):
    (before,) = running(slot, old, 1)
    held, incumbent = None, make.workload_token(before)
    rollout = started(slot, new, rita, strategy="canary", percents=[50, 100])
    (canary,) = at_work(slot, new)
    held = make.workload_token(canary)
    assert (may_start(held), may_start(incumbent)) == ("allow", "allow")
    services.abort_rollout(rollout=rollout, actor=rita, reason="Worse")
    AgentInstance.objects.filter(pk=canary.pk).update(state=InstanceState.ACTIVE, leaving=False)
    until(lambda: may_start(held) == "slot_rebound")
    assert may_start(incumbent) == "allow"


def test_what_is_being_replaced_works_on_until_its_handover_ends(slot, rita, old, new):
    (before,) = running(slot, old, 1)
    token = make.workload_token(before)
    assert may_start(token) == "allow"
    started(slot, new, rita, drain="replaced")
    slot.refresh_from_db()
    assert slot.current_version == new and Handover.objects.open().get().version == old
    assert may_start(token) == "allow"
    at_work(slot, new)
    services.settle_slot(slot_id=slot.pk)
    assert not Handover.objects.open().exists()
    AgentInstance.objects.filter(pk=before.pk).update(state=InstanceState.ACTIVE, leaving=False)
    until(lambda: may_start(token) == "slot_rebound")


def test_what_a_binding_leaves_starts_nothing(slot, rita, old, new):
    (before,) = running(slot, old, 1)
    token = make.workload_token(before)
    assert may_start(token) == "allow"
    bound(slot, new, actor=rita)
    until(lambda: may_start(token) == "slot_rebound")
