"""Approvals, when people and agents come at once: real threads, real transactions, one answer."""

from uuid import uuid4

import pytest

from arm.errors import Conflict
from arm.models import ChangeRecord
from arm.rights import Right
from policy import services
from policy.lifecycle import ApprovalState
from policy.models import ApprovalRequest
from tests import make
from tests.at_once import at_once
from tests.policy.test_approvals import approver, decide, requested

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def acme():
    return make.tenant()


@pytest.fixture
def bob(acme):
    return approver(acme, "")


@pytest.fixture
def instance(acme):
    return make.instance(version=make.approved(template=make.template(tenant=acme)))


@pytest.fixture
def carol(acme):
    return approver(acme, "")


def test_of_two_uses_at_once_exactly_one_counts(acme, instance, bob):
    request = decide(requested(instance), bob)

    def use():
        return services.consume_approval(request_id=request.pk, digest=request.digest, used_by=uuid4())

    assert sorted(at_once(acme, use, use, use, use)) == [False, False, False, True]


def test_two_approvers_at_once_make_one_quorum_of_two(acme, instance, bob, carol):
    request = requested(instance, approvals=[{"match": {"risk": "red"}, "quorum": 2}])
    at_once(acme, lambda: decide(request, bob), lambda: decide(request, carol))
    request.refresh_from_db()
    assert (request.state, request.decisions.count()) == (ApprovalState.APPROVED, 2)
    assert ChangeRecord.objects.filter(verb="policy.approval.approved").count() == 1


def test_a_yes_and_a_no_at_once_end_in_one_answer(acme, instance, bob, carol):
    request = requested(instance)
    results = at_once(acme, lambda: decide(request, bob), lambda: decide(request, carol, approve=False))
    request.refresh_from_db()
    assert request.state in (ApprovalState.APPROVED, ApprovalState.DENIED)
    assert sum(isinstance(result, Conflict) for result in results) == 1


def test_two_askers_at_once_make_one_request(acme, instance):
    results = at_once(acme, lambda: requested(instance), lambda: requested(instance))
    assert results[0] == results[1]
    assert ApprovalRequest.objects.count() == 1


def test_a_stop_and_a_use_at_once_leave_nothing_usable(acme, instance, bob):
    request = decide(requested(instance), bob)
    make.grant(bob, acme, Right.RESTRICT_INSTANCE)
    used, _ = at_once(
        acme,
        lambda: services.consume_approval(request_id=request.pk, digest=request.digest, used_by=uuid4()),
        lambda: services.void_approvals(instances=[instance.pk], actor=bob, reason="stopped"),
    )
    request.refresh_from_db()
    assert request.state == (ApprovalState.CONSUMED if used else ApprovalState.VOIDED)
