"""What policy says before an agent starts, a slot is bound or a version is promoted."""

import pytest

from arm import clock
from arm.rights import Right
from policy import services
from policy.models import ApprovalRequest, Binding
from policy.plugins import PolicyBound, PolicyValidates, SlotHasPolicy
from registry import services as registry
from registry.gates import GateRefused
from registry.lifecycle import InstanceState, VersionState
from registry.models import InstanceStatus
from tests import make

pytestmark = pytest.mark.django_db


def test_an_agent_without_a_policy_stays_where_it_is():
    acme = make.tenant("acme")
    alice = make.everything(make.user("alice", member_of=acme), acme)
    instance = make.instance(state=InstanceState.PROVISIONING)
    with pytest.raises(GateRefused) as refusal:
        registry.move_instance(instance=instance, to=InstanceState.ACTIVE, actor=alice, reason="go")
    assert "policy bound" in {gate["gate"] for gate in refusal.value.extra["gates"]}


@pytest.mark.parametrize("above", ["tenant", "environment", "template", "version", "self"])
def test_a_policy_anywhere_above_counts(above):
    instance = make.instance()
    make.bound(instance if above == "self" else getattr(instance, above))
    assert PolicyBound().check(instance).passed


def test_a_policy_elsewhere_or_one_that_ended_does_not_count():
    instance = make.instance()
    make.bound(make.environment())
    make.bound(make.template())
    assert not PolicyBound().check(instance).passed


def test_a_slot_takes_a_version_only_below_a_policy():
    slot, version = make.slot(), make.approved()
    assert not SlotHasPolicy().check(slot, version).passed
    make.bound(slot)
    assert SlotHasPolicy().check(slot, version).passed


def test_a_bound_policy_without_an_active_version_stops_the_promotion():
    version = make.version(state=VersionState.TESTING)
    draft = make.policy_version()
    Binding.objects.create(tenant=version.tenant, policy=draft.policy, template=version.template, reason="x")
    assert not PolicyValidates().check(version, VersionState.CANDIDATE).passed
    assert PolicyValidates().check(version, VersionState.TESTING).passed


def test_the_release_of_an_agent_is_agreed_to_through_approval_requests():
    acme = make.tenant("acme")
    alice, bob, carol = (make.user(name, member_of=acme) for name in ("alice", "bob", "carol"))
    make.grant(alice, acme, Right.RESTRICT_INSTANCE, Right.RELEASE_INSTANCE)
    for person in (bob, carol):
        make.grant(person, acme, Right.APPROVE_RELEASE)
    instance = make.instance()
    InstanceStatus.objects.filter(pk=instance.pk).update(telemetry_at=clock.now())
    make.bound(acme)
    registry.restrict_instance(instance=instance, to=InstanceState.QUARANTINED, actor=alice, reason="bad")
    request_id = registry.request_instance_release(
        instance=instance, to=InstanceState.READ_ONLY, actor=alice, reason="reviewed"
    )
    request = ApprovalRequest.objects.get(pk=request_id)
    assert (request.quorum, request.instance) == (2, instance)
    with pytest.raises(registry.ApprovalNeeded):
        registry.move_instance(instance=instance, to=InstanceState.READ_ONLY, actor=alice, reason="now")
    for person in (bob, carol):
        services.decide_approval(
            request=request, approve=True, actor=person, reason="read it", digest=request.digest
        )
    released = registry.move_instance(
        instance=instance, to=InstanceState.READ_ONLY, actor=alice, reason="now"
    )
    assert released.state == InstanceState.READ_ONLY
    request.refresh_from_db()
    assert request.state == "consumed"
