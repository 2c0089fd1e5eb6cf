"""Kill switches in the database: who may stop what, who may lift it, and what a stop takes with it."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ApiKey, ChangeRecord
from arm.rights import Right
from policy import services
from policy.engine import Mode
from policy.lifecycle import ApprovalState
from policy.models import ApprovalRequest, Posture
from policy.services import ApprovalNeeded
from registry.lifecycle import InstanceState
from registry.services import Duplicate
from tests import make
from tests.policy.test_approvals import requested

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme):
    """An operator: stops and releases."""
    alice = make.user("alice", member_of=acme)
    make.grant(alice, acme, Right.RESTRICT_INSTANCE, Right.RESTRICT_WIDELY, Right.RELEASE_INSTANCE)
    return alice


def approver(acme, name):
    person = make.user(name, member_of=acme)
    make.grant(person, acme, Right.APPROVE_RELEASE, Right.DECIDE_APPROVAL)
    return person


@pytest.fixture
def bob(acme):
    return approver(acme, "bob")


@pytest.fixture
def carol(acme):
    return approver(acme, "carol")


def stop(scope, by, mode=Mode.PAUSED, **kw):
    return services.set_posture(scope=scope, mode=mode, actor=by, reason="it misbehaves", **kw)


def lift(posture, by):
    return services.lift_posture(posture=posture, actor=by, reason="it is mended")


@pytest.mark.parametrize("mode", [Mode.DRAINING, Mode.PAUSED, Mode.READ_ONLY, Mode.QUARANTINED])
def test_one_person_with_the_right_stops_most_scopes_at_once(acme, alice, bob, mode):
    instance = make.instance()
    scopes = (
        instance.environment,
        instance.template,
        instance.version,
        instance.provider,
        instance,
    )
    for scope in scopes:
        posture = stop(scope, alice, mode)
        assert (posture.target, posture.mode, posture.in_force) == (scope, mode, True)
        assert posture.reach["agents"] == 1
    assert ChangeRecord.objects.filter(verb="policy.posture.set", actor_id=alice.pk).count() == len(scopes)


def test_the_right_to_stop_one_agent_does_not_stop_a_tenant(acme):
    dave = make.user("dave", member_of=acme)
    make.grant(dave, acme, Right.RESTRICT_INSTANCE)
    instance = make.instance()
    assert stop(instance, dave)
    for scope in (acme, instance.environment, instance.template):
        with pytest.raises(NotAllowed):
            stop(scope, dave)


def test_a_rule_of_arm_stops_without_a_person(acme):
    posture = stop(make.instance(), None, Mode.READ_ONLY)
    assert ChangeRecord.objects.about(posture).get().actor_label == "ARM"


def test_the_same_stop_twice_is_one_stop(acme, alice):
    posture = stop(acme, alice)
    with pytest.raises(Duplicate) as refusal:
        stop(acme, alice)
    assert refusal.value.existing == posture
    assert stop(acme, alice, Mode.QUARANTINED) and stop(acme, alice, tool="tweet")


@pytest.mark.parametrize(
    ("mode", "kw", "pointer"),
    [
        (Mode.NORMAL, {}, "/mode"),
        (Mode.KILLED, {}, "/mode"),
        (Mode.PAUSED, {"tool": "a", "tool_class": "file"}, "/tool_class"),
        (Mode.PAUSED, {"until": timedelta(hours=-1)}, "/until"),
        (Mode.QUARANTINED, {"until": timedelta(hours=1)}, "/until"),
        (Mode.READ_ONLY, {"until": timedelta(hours=1)}, "/until"),
    ],
)
def test_a_stop_that_makes_no_sense_is_refused_with_its_pointer(acme, alice, mode, kw, pointer):
    if "until" in kw:
        kw = {"until": clock.now() + kw["until"]}
    with pytest.raises(Invalid) as refusal:
        stop(acme, alice, mode, **kw)
    assert refusal.value.errors[0]["pointer"] == pointer


def test_a_pause_may_end_by_itself(acme, alice):
    posture = stop(acme, alice, until=clock.now() + timedelta(hours=1))
    with clock.at(clock.now() + timedelta(hours=2)):
        assert not posture.in_force and not Posture.objects.in_force().exists()
        with pytest.raises(Conflict):
            lift(posture, alice)


def test_paused_and_draining_are_lifted_by_one_operator(acme, alice, bob):
    for mode in (Mode.PAUSED, Mode.DRAINING):
        assert lift(stop(make.environment(), alice, mode), alice).lifted_by == alice
    with pytest.raises(NotAllowed):
        lift(stop(make.environment(), alice), bob)  # an approver is no operator


def test_read_only_is_lifted_by_an_approver_who_did_not_set_it(acme, alice, bob):
    posture = stop(make.environment(), alice, Mode.READ_ONLY)
    with pytest.raises(ApprovalNeeded) as refusal:
        lift(posture, alice)
    assert refusal.value.extra == {"needs": 1, "have": 0}
    assert lift(posture, bob).lifted_by == bob


def test_an_approver_who_set_it_does_not_lift_it(acme, bob, carol):
    make.grant(bob, acme, Right.RESTRICT_WIDELY)
    posture = stop(make.environment(), bob, Mode.READ_ONLY)
    with pytest.raises(ApprovalNeeded):
        lift(posture, bob)
    assert lift(posture, carol)


def test_an_approver_who_asked_for_the_lift_does_not_lift_it(acme, alice, bob, carol):
    posture = stop(make.environment(), alice, Mode.READ_ONLY)
    services.request_lift(posture=posture, actor=bob, reason="I need it back")
    with pytest.raises(ApprovalNeeded):
        lift(posture, bob)
    assert lift(posture, carol)


def test_quarantine_is_lifted_by_two_approvers_who_took_no_part(acme, alice, bob, carol):
    posture = stop(make.environment(), alice, Mode.QUARANTINED)
    request = services.request_lift(posture=posture, actor=alice, reason="reviewed")
    assert request.quorum == 2
    with pytest.raises(ApprovalNeeded) as refusal:
        lift(posture, bob)
    assert refusal.value.extra == {"needs": 2, "have": 1}
    services.decide_approval(request=request, approve=True, actor=carol, reason="yes", digest=request.digest)
    assert lift(posture, bob).lifted_at
    request.refresh_from_db()
    assert request.state == ApprovalState.VOIDED  # it was still waiting for a second yes


def test_an_operator_carries_out_what_two_approvers_agreed_to(acme, alice, bob, carol):
    posture = stop(make.environment(), alice, Mode.QUARANTINED)
    request = services.request_lift(posture=posture, actor=alice, reason="reviewed")
    for person in (bob, carol):
        services.decide_approval(
            request=request, approve=True, actor=person, reason="yes", digest=request.digest
        )
    assert lift(posture, alice)
    request.refresh_from_db()
    assert request.state == ApprovalState.CONSUMED
    record = ChangeRecord.objects.get(verb="policy.posture.lifted")
    assert record.after["approved_by"] == sorted([str(bob.pk), str(carol.pk)])


def test_the_approval_of_one_lift_does_not_lift_another(acme, alice, bob, carol):
    first = stop(make.environment(), alice, Mode.QUARANTINED)
    second = stop(make.environment(), alice, Mode.QUARANTINED)
    request = services.request_lift(posture=first, actor=alice, reason="reviewed")
    for person in (bob, carol):
        services.decide_approval(
            request=request, approve=True, actor=person, reason="yes", digest=request.digest
        )
    with pytest.raises(ApprovalNeeded):
        lift(second, alice)


def test_in_a_tenant_of_one_person_they_lift_and_the_record_says_so(acme, alice):
    lift(stop(acme, alice, Mode.QUARANTINED), alice)
    assert ChangeRecord.objects.get(verb="policy.posture.lifted").after["sod_mode"] == "reduced"


def test_postures_stack_and_lifting_one_leaves_the_other(acme, alice):
    instance = make.instance()
    broad, narrow = stop(acme, alice), stop(instance, alice)
    lift(narrow, alice)
    assert list(Posture.objects.in_force()) == [broad]


def test_a_kill_quarantines_revokes_the_tokens_and_is_never_lifted(acme, alice, bob, carol):
    instance = make.instance()
    make.workload_token(instance)
    posture = stop(instance, alice, Mode.KILLED)
    instance.refresh_from_db()
    assert instance.state == InstanceState.QUARANTINED
    assert ApiKey.objects.get().revoked_at is not None
    for person in (alice, bob, carol):
        with pytest.raises(NotAllowed):
            lift(posture, person)
    with pytest.raises(DatabaseError), transaction.atomic():
        Posture.objects.filter(pk=posture.pk).update(lifted_at=clock.now())


def test_a_stop_voids_what_its_agents_were_allowed_or_asked_for(acme, alice):
    here, elsewhere = make.instance(), make.instance()
    asked, other = requested(here), requested(elsewhere)
    stop(here.environment, alice, Mode.QUARANTINED)
    states = dict(ApprovalRequest.objects.values_list("pk", "state"))
    assert (states[asked.pk], states[other.pk]) == (ApprovalState.VOIDED, ApprovalState.PENDING)


def test_requests_whose_time_is_over_do_not_count_as_waiting(acme, alice):
    instance = make.instance()
    requested(instance)
    make.approval(instance, expires_at=clock.now() - timedelta(minutes=1))
    assert stop(instance, alice).reach["waiting"] == 1


def test_a_stop_does_not_call_void_what_had_expired(acme, alice):
    instance = make.instance()
    late = make.approval(instance, expires_at=clock.now() - timedelta(minutes=1))
    stop(instance, alice)
    services.expire_approvals(tenant_id=acme.pk)
    late.refresh_from_db()
    assert late.state == ApprovalState.EXPIRED


def test_draining_lets_requests_be_decided(acme, alice):
    asked = requested(make.instance())
    stop(acme, alice, Mode.DRAINING)
    asked.refresh_from_db()
    assert asked.state == ApprovalState.PENDING


def test_the_database_keeps_who_stopped_what_and_why(acme, alice):
    posture = stop(acme, alice)
    for change in ({"reason": "x"}, {"mode": Mode.DRAINING}, {"set_by": None}, {"whole_tenant": False}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Posture.objects.filter(pk=posture.pk).update(**change)
    lift(posture, alice)
    with pytest.raises(DatabaseError), transaction.atomic():
        Posture.objects.filter(pk=posture.pk).update(lifted_at=None, lifted_by=None, lift_reason="")
    with pytest.raises(DatabaseError), transaction.atomic():
        posture.delete()
