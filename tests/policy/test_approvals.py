"""Approvals: who counts, how many, until when, for exactly what, and only once."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from arm import clock, db, ids
from arm.errors import Conflict, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from policy import services
from policy.engine import Action, Facts, Request, action_digest, compile_envelope, evaluate
from policy.lifecycle import ApprovalState
from policy.models import ApprovalDecision, ApprovalRequest
from policy.queries.standing import load_agents, load_rules
from registry.models import Ownership
from tests import make

pytestmark = pytest.mark.django_db
PAY = Request(Action.TOOL_CALL, "payment", {"amount": "10.00", "api_key": "0f9a8b7c6d5e"}, job="job-7")


def requested(instance, asked=PAY, on_behalf_of=None, **members):
    """The request that a tier 2 agent's red tool makes."""
    rules, agent = load_rules(instance.tenant_id), load_agents([instance.pk])[instance.pk]
    envelope = compile_envelope(make.policy_document(**members))
    facts = Facts(now=1.0, as_of=1.0, standing=rules.standing_of(agent))
    return services.request_tool_approval(
        instance=instance,
        asked=asked,
        verdict=evaluate(envelope, asked, facts),
        decision_id=ids.uuid7(),
        on_behalf_of=on_behalf_of,
    ).request


def approver(acme, name, *roles):
    person = make.user(name, member_of=acme)
    make.grant(person, acme, Right.DECIDE_APPROVAL)
    return person


def decide(request, by, approve=True, digest=None):
    return services.decide_approval(
        request=request, approve=approve, actor=by, reason="looked at it", digest=digest or request.digest
    )


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def bob(acme):
    return approver(acme, "bob")


@pytest.fixture
def carol(acme):
    return approver(acme, "carol")


@pytest.fixture
def instance(acme):
    return make.instance()


def test_a_request_names_exactly_what_is_asked_without_its_secrets(instance):
    request = requested(instance)
    assert request.action == {
        "action": "tool_call",
        "tool": "payment",
        "args": {"amount": "10.00", "api_key": "‹redacted›"},
        "job": "job-7",
    }
    assert request.digest == action_digest(instance.typeid, PAY)
    assert (request.risk, request.quorum, request.state) == ("red", 1, ApprovalState.PENDING)


def test_asking_again_for_the_same_is_the_same_request(instance):
    altered = Request(Action.TOOL_CALL, "payment", {"amount": "99.00"}, job="job-7")
    assert requested(instance) == requested(instance)
    assert requested(instance, altered) != requested(instance)


def test_one_other_person_approves(instance, bob):
    request = decide(requested(instance), bob)
    assert (request.state, request.decided_at is not None) == (ApprovalState.APPROVED, True)
    assert ChangeRecord.objects.get(verb="policy.approval.approved").actor_id == bob.pk


def test_one_no_denies_whatever_the_quorum(instance, bob, carol):
    request = requested(instance, approvals=[{"match": {"risk": "red"}, "quorum": 2}])
    decide(request, bob)
    assert decide(request, carol, approve=False).state == ApprovalState.DENIED


def test_a_quorum_of_two_needs_two_people(instance, bob, carol):
    request = requested(instance, approvals=[{"match": {"risk": "red"}, "quorum": 2}])
    assert decide(request, bob).state == ApprovalState.PENDING
    with pytest.raises(Conflict):
        decide(request, bob)
    assert decide(request, carol).state == ApprovalState.APPROVED


def test_who_asked_built_submitted_or_owns_does_not_count(acme, bob):
    people = [approver(acme, name) for name in ("asker", "builder", "submitter", "owner")]
    asker, builder, submitter, owner = people
    instance = make.instance(version=make.approved(created_by=builder, submitted_by=submitter))
    Ownership.objects.create(tenant=acme, template=instance.template, user=owner)
    request = requested(instance, on_behalf_of=asker)
    for person in people:
        with pytest.raises(NotAllowed):
            decide(request, person)
    assert decide(request, bob).state == ApprovalState.APPROVED


def test_without_the_right_nobody_decides(acme, instance):
    mallory = make.user("mallory", member_of=acme)
    with pytest.raises(NotAllowed):
        decide(requested(instance), mallory)


def test_the_policy_may_want_a_role(acme, instance, bob):
    wanted = [{"match": {"risk": "red"}, "roles": ["finops"]}]
    request = requested(instance, approvals=wanted)
    with pytest.raises(NotAllowed):
        decide(request, bob)
    frida = approver(acme, "frida")
    binding = make.grant(frida, acme)
    type(binding).objects.filter(pk=binding.pk).update(role="finops")
    assert decide(request, frida).state == ApprovalState.APPROVED


def test_what_was_decided_is_what_was_shown(instance, bob):
    with pytest.raises(Conflict):
        decide(requested(instance), bob, digest="sha256:" + "0" * 64)


def test_after_its_time_there_is_nothing_to_decide(instance, bob):
    request = requested(instance)
    with clock.at(clock.now() + timedelta(hours=1, seconds=1)):
        with pytest.raises(Conflict):
            decide(request, bob)
        assert services.expire_approvals(tenant_id=instance.tenant_id) == (1, 0)
        request.refresh_from_db()
        assert request.state == ApprovalState.EXPIRED
        assert requested(instance) != request


def test_what_waits_too_long_is_escalated_and_can_still_be_decided(acme, instance, bob):
    terms = {
        "match": {"risk": "red"},
        "escalate_after_s": 300,
        "escalate_to": "tenant_admin",
        "roles": ["finops"],
    }
    request = requested(instance, approvals=[terms])
    with clock.at(clock.now() + timedelta(seconds=301)):
        assert services.expire_approvals(tenant_id=acme.pk) == (0, 1)
        with pytest.raises(NotAllowed):
            decide(request, bob)
        boss = approver(acme, "boss")
        binding = make.grant(boss, acme)
        type(binding).objects.filter(pk=binding.pk).update(role="tenant_admin")
        assert decide(request, boss).state == ApprovalState.APPROVED


def test_who_may_decide_may_cancel_and_a_stranger_may_not(acme, instance, bob):
    with pytest.raises(NotAllowed):
        services.cancel_approval(request=requested(instance), actor=make.user("mallory"), reason="x")
    services.cancel_approval(request=requested(instance), actor=bob, reason="not needed")
    with pytest.raises(Conflict):
        services.cancel_approval(request=ApprovalRequest.objects.get(), actor=bob, reason="again")


def test_an_approval_is_used_up_once_for_exactly_its_action(instance, bob):
    request = decide(requested(instance), bob)
    first, second = uuid4(), uuid4()
    other = "sha256:" + "0" * 64
    assert not services.consume_approval(request_id=request.pk, digest=other, used_by=first)
    assert services.consume_approval(request_id=request.pk, digest=request.digest, used_by=first)
    assert not services.consume_approval(request_id=request.pk, digest=request.digest, used_by=second)
    request.refresh_from_db()
    assert (request.state, request.consumed_by) == (ApprovalState.CONSUMED, first)


@pytest.mark.parametrize("state", ["pending", "denied", "expired", "voided"])
def test_what_is_not_approved_is_not_used_up(instance, state):
    request = requested(instance)
    ApprovalRequest.objects.filter(pk=request.pk).update(state=state)
    assert not services.consume_approval(request_id=request.pk, digest=request.digest, used_by=uuid4())


def test_an_approval_expires_after_it_was_given_too(instance, bob):
    request = decide(requested(instance), bob)
    with clock.at(clock.now() + timedelta(hours=2)):
        assert not services.consume_approval(request_id=request.pk, digest=request.digest, used_by=uuid4())


def test_in_a_tenant_of_one_person_they_decide_for_themselves_and_the_record_says_so(acme, instance):
    olga = approver(acme, "olga")
    decide(requested(instance, on_behalf_of=olga), olga)
    assert ChangeRecord.objects.get(verb="policy.approval.approved").after["sod_mode"] == "reduced"


def test_the_database_keeps_requests_and_decisions_as_they_were(instance, bob):
    request = decide(requested(instance), bob, approve=False)
    for attempt in (
        lambda: ApprovalRequest.objects.update(digest="sha256:0"),
        lambda: ApprovalRequest.objects.update(state="approved"),
        lambda: ApprovalRequest.objects.update(quorum=1, excluded=["x"]),
        lambda: ApprovalDecision.objects.update(approve=True),
        lambda: ApprovalDecision.objects.all().delete(),
        request.delete,
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()


def test_the_application_connection_sees_one_tenant(instance):
    requested(instance)
    with db.tenants([make.tenant("other").pk]), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM policy_approvalrequest")
        assert cursor.fetchone() == (0,)
