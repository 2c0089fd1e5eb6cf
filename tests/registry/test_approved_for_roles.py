"""A role is done by what as many people have approved as the role asks, wherever somebody lets a version into it."""

from datetime import timedelta

import pytest

from arm import clock
from arm.errors import Conflict
from arm.grants import grant_models
from arm.models import ChangeRecord, User, UserGrant
from arm.rights import Right, Risk
from evidence.models import SigningKey
from registry import fitness, gates, queries, services
from registry.gates import GateRefused
from registry.lifecycle import VersionState
from registry.models import AgentVersion, VersionApproval
from registry.plugins import EvidenceVerified
from tests import make

pytestmark = pytest.mark.django_db
V = VersionState
QUORUM = "approval quorum"


def approver(name, tenant):
    user = make.user(name, member_of=tenant)
    make.grant(user, tenant, Right.READ_DIRECTORY, Right.APPROVE_VERSION)
    return user


@pytest.fixture
def rita(tenant):
    rita = make.user("rita", member_of=tenant)
    make.grant(
        rita,
        tenant,
        Right.READ_DIRECTORY,
        Right.PROMOTE_RELEASE,
        Right.MANAGE_DIRECTORY,
        Right.SUBMIT_VERSION,
    )
    return rita


@pytest.fixture
def erin(tenant):
    return approver("erin", tenant)


@pytest.fixture
def frank(tenant):
    return approver("frank", tenant)


@pytest.fixture
def prod(tenant):
    return make.environment("prod", name="Production")


@pytest.fixture
def cashier(tenant):
    return make.role("cashier", tenant=tenant, name="Cashier", approvals=2)


@pytest.fixture
def version(tenant, rita, erin):
    """The first version of an agent that had nothing to do with the role yet: one approval was enough."""
    built = make.version(state=V.CANDIDATE, created_by=rita, candidate_round=1)
    return services.approve_version(version=built, actor=erin, reason="read it")


def approve(version, actor):
    return services.approve_version(version=version, actor=actor, reason="read it")


def asked(role, environment, version):
    return [one for one in fitness.for_role(role, environment, version) if one.gate == QUORUM]


def loses_everything(user):
    for model in grant_models():
        if issubclass(model, UserGrant):
            model._default_manager.filter(user=user).update(expires_at=clock.now() - timedelta(minutes=1))


def standing(version, actor):
    fresh = AgentVersion.objects.get(pk=version.pk)
    found = queries.approving(fresh, User.objects.get(pk=actor.pk), frozenset({Right.APPROVE_VERSION}))
    return found, [row.standing for row in found.rows]


def test_the_first_version_in_a_role_is_not_assigned_before_as_many_have_approved_it(
    version, cashier, prod, rita, erin, frank
):
    def assign():
        return services.assign_role(
            role=cashier, environment=prod, version=version, actor=rita, reason="staff it"
        )

    with pytest.raises(GateRefused) as refused:
        assign()
    said = {one["gate"]: one["reason"] for one in refused.value.extra["gates"]}
    assert said == {
        QUORUM: f"1 of 2 approved it for the role: {erin}."
        " One more person must approve it, because the role Cashier asks for it."
    }
    assert approve(version, frank).state == V.APPROVED
    assert assign().standing == "active"


def test_a_slot_is_not_bound_to_it_either(version, cashier, prod, frank):
    slot = make.slot(environment=prod, role=cashier)

    def refused():
        return [one for one in gates.for_binding(slot, version) if "must approve it" in one.reason]

    assert [one.passed for one in refused()] == [False]
    approve(version, frank)
    assert refused() == []


def test_an_instance_that_was_given_the_role_is_not_activated_either(version, cashier, prod, frank):
    instance = make.instance(version=version, environment=prod, role=cashier, state="provisioning")
    found = fitness.InstanceFitsItsRole().check(instance)
    assert not found.passed and "1 of 2 approved it for the role" in found.reason
    approve(version, frank)
    assert fitness.InstanceFitsItsRole().check(instance).passed


def test_the_risk_class_of_a_role_asks_like_the_role_itself(version, tenant, prod, rita, frank):
    services.require_approvals(tenant=tenant, by_risk={"critical": 2}, actor=rita, reason="rule")
    (found,) = asked(make.role("treasurer", name="Treasurer", risk=Risk.CRITICAL), prod, version)
    assert not found.passed and found.reason.endswith("the role Treasurer is of critical risk.")


def test_where_unapproved_versions_run_they_are_not_asked_how_many_approved_them(tenant, cashier):
    dev, tried = make.environment("dev"), make.version(state=V.TESTING)
    assert asked(cashier, dev, tried) == []
    risky = make.role("treasurer", approvals=2, risk=Risk.HIGH)
    approver("erin", tenant), approver("frank", tenant)
    assert [one.passed for one in asked(risky, dev, tried)] == [False]


def test_who_works_alone_is_enough_for_every_role(tenant, cashier, prod):
    solo = approver("solo", tenant)
    assert asked(cashier, prod, make.approved(created_by=solo)) == []


def test_what_is_approved_is_approved_by_more_only_while_a_role_asks_for_them(
    version, cashier, erin, frank, tenant
):
    with pytest.raises(Conflict, match="You have approved"):
        approve(version, erin)
    assert standing(version, frank)[0].may_approve
    approve(version, frank)
    heidi = approver("heidi", tenant)
    assert not standing(version, heidi)[0].may_approve
    with pytest.raises(Conflict, match=r"no role here asks for more\. 2 approved, 1 had to"):
        approve(version, heidi)
    assert VersionApproval.objects.count() == 2


def test_instances_with_a_role_beside_the_slots_make_their_agents_next_version_need_as_many(
    version, cashier, prod, tenant, erin
):
    make.instance(version=version, environment=prod, role=cashier)
    following = make.version(template=version.template, state=V.CANDIDATE, candidate_round=1)
    assert approve(following, erin).state == V.CANDIDATE


def test_what_was_approved_is_not_counted_anew_when_an_approver_leaves(version, cashier, prod, erin, frank):
    approve(version, frank)
    for user in (erin, frank):
        loses_everything(user)
    found, rows = standing(version, erin)
    assert rows == ["counts", "counts"] and found.quorum.left == 0
    assert [one.passed for one in asked(cashier, prod, version)] == [True]


def test_a_rule_that_became_stricter_does_not_reach_what_is_approved(version, tenant, rita, erin):
    services.require_approvals(tenant=tenant, by_risk={"medium": 3}, actor=rita, reason="rule")
    found, _ = standing(version, erin)
    assert (found.quorum.needs, found.quorum.left) == (1, 0)
    moved = ChangeRecord.objects.about(version).filter(verb="registry.version.moved").first()
    assert moved.after["quorum"]["needs"] == 1


def test_who_had_lost_the_right_before_the_move_does_not_count_after_it(tenant, rita, erin, frank, cashier):
    services.require_approvals(tenant=tenant, by_risk={"medium": 2}, actor=rita, reason="rule")
    built = make.version(state=V.CANDIDATE, created_by=rita, candidate_round=1)
    approve(built, erin)
    loses_everything(erin)
    approve(built, frank)
    assert approve(built, approver("heidi", tenant)).state == V.APPROVED
    assert standing(built, frank)[1] == ["lapsed", "counts", "counts"]


def test_the_page_of_an_approved_version_leads_to_another_approval(version, cashier, client, frank):
    client.force_login(frank)
    page = f"/registry/versions/{version.typeid}/"
    assert "Approve it, too" in client.get(page).content.decode()
    assert "Yours counts for roles that ask for more." in client.get(f"{page}approve/").content.decode()
    assert client.post(f"{page}approve/", {"reason": "read it"}).status_code == 302
    shown = client.get(page).content.decode()
    assert "Approve it, too" not in shown and VersionApproval.objects.count() == 2


@pytest.mark.parametrize("place", ["prod", "pilot"])
@pytest.mark.parametrize("signs", [True, False])
def test_a_role_asks_for_a_card_where_its_slots_do(tenant, place, signs):
    if signs:
        SigningKey.objects.create(
            tenant=tenant, purpose=SigningKey.Purpose.EVIDENCE, kid="k", jwk={}, sealed=b"s"
        )
    there = make.environment(place, risk_default=Risk.HIGH if place == "pilot" else Risk.LOW)
    role, approved = make.role("clerk"), make.approved()
    of_the_slot = EvidenceVerified().check(make.slot(environment=there, role=role), approved)
    of_the_role = [one.passed for one in fitness.for_role(role, there, approved) if one.gate == "evidence"]
    assert (of_the_slot.passed, of_the_role) == ((False, [False]) if signs else (True, []))
