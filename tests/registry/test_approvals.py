"""A version is approved by as many people as its risk asks, each once, none of whom built or submitted it."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.grants import grant_models
from arm.models import ChangeRecord, User, UserGrant
from arm.rights import Right, Risk
from registry import queries, services
from registry.gates import GateRefused
from registry.lifecycle import VersionState
from registry.models import AgentVersion, ApprovalWithdrawal, VersionApproval
from tests import make

pytestmark = pytest.mark.django_db
V = VersionState


def person(name, tenant, *rights):
    user = make.user(name, member_of=tenant)
    make.grant(user, tenant, Right.READ_DIRECTORY, *rights)
    return user


@pytest.fixture
def alice(tenant):
    """She builds it, and may approve what others build."""
    return person("alice", tenant, Right.CREATE_VERSION, Right.SUBMIT_VERSION, Right.APPROVE_VERSION)


@pytest.fixture
def erin(tenant):
    return person("erin", tenant, Right.APPROVE_VERSION)


@pytest.fixture
def frank(tenant):
    return person("frank", tenant, Right.APPROVE_VERSION)


@pytest.fixture
def boss(tenant):
    return person("boss", tenant, Right.MANAGE_DIRECTORY)


@pytest.fixture
def version(tenant, alice):
    agent = make.template("refunds", tenant=tenant, name="Refunds", risk=Risk.HIGH)
    built = make.version(template=agent, created_by=alice)
    services.move_version(version=built, to=V.TESTING, actor=alice, reason="try it")
    return services.move_version(version=built, to=V.CANDIDATE, actor=alice, reason="tried")


@pytest.fixture
def two(tenant, boss):
    """What is of high risk takes two approvals."""
    return services.require_approvals(tenant=tenant, by_risk={"high": 2}, actor=boss, reason="four eyes")


def approve(version, actor, reason="looked at it"):
    return services.approve_version(version=version, actor=actor, reason=reason)


def state_of(version):
    return AgentVersion.objects.get(pk=version.pk).state


def test_one_approval_is_enough_unless_the_tenant_says_otherwise(version, erin):
    assert approve(version, erin).state == V.APPROVED
    (row,) = VersionApproval.objects.filter(version=version)
    assert (row.person, row.round, row.genome_digest) == (erin, 1, version.genome.digest)


def test_a_version_of_high_risk_moves_with_the_second_approval_and_not_before(version, two, erin, frank):
    assert approve(version, erin).state == V.CANDIDATE
    assert approve(version, frank).state == V.APPROVED
    moved = ChangeRecord.objects.about(version).filter(verb="registry.version.moved").first()
    assert [one["by"] for one in moved.after["approvals"]] == [str(erin), str(frank)]
    given = ChangeRecord.objects.about(version).filter(verb="registry.version.approval_given")
    assert given.count() == 2


def test_the_refusal_says_who_has_approved_and_how_many_are_missing(version, two, erin, frank, boss, tenant):
    services.require_approvals(tenant=tenant, by_risk={"high": 3}, actor=boss, reason="six eyes")
    approve(version, erin)
    with pytest.raises(GateRefused) as refused:
        services.move_version(version=version, to=V.APPROVED, actor=frank, reason="go")
    assert f"1 of 3 approved: {erin}. 2 more people must approve it, because Refunds is of high risk." in str(
        refused.value
    )
    assert VersionApproval.objects.filter(version=version).count() == 1


def test_who_moves_it_as_the_last_one_needed_approves_it_by_that(version, two, erin, frank):
    approve(version, erin)
    with pytest.raises(GateRefused):
        services.move_version(version=version, to=V.APPROVED, actor=erin, reason="go")
    moved = services.move_version(version=version, to=V.APPROVED, actor=frank, reason="go")
    assert moved.state == V.APPROVED and VersionApproval.objects.filter(person=frank).exists()


def test_nobody_counts_twice(version, two, erin):
    approve(version, erin)
    with pytest.raises(Conflict, match=r"already\. 1 of 2"):
        approve(version, erin)
    assert state_of(version) == V.CANDIDATE


def test_who_built_or_submitted_it_does_not_count(version, two, alice):
    with pytest.raises(NotAllowed, match="somebody else approves it"):
        approve(version, alice)


def test_who_may_not_approve_there_gives_no_approval(version, tenant, two):
    mallory = person("mallory", tenant)
    with pytest.raises(NotAllowed):
        approve(version, mallory)
    assert not VersionApproval.objects.exists()


def test_a_service_account_approves_nothing(version, tenant):
    robot = person("robot", tenant, Right.APPROVE_VERSION)
    User.objects.filter(pk=robot.pk).update(kind=User.Kind.SERVICE)
    with pytest.raises(NotAllowed, match="people approve versions"):
        approve(version, User.objects.get(pk=robot.pk))


def test_a_draft_is_not_approved(tenant, erin):
    with pytest.raises(Conflict, match="only a candidate"):
        approve(make.version(), erin)


def test_back_to_testing_what_was_gathered_counts_no_more(version, two, alice, erin, frank):
    approve(version, erin)
    for to in (V.TESTING, V.CANDIDATE):
        services.move_version(version=version, to=to, actor=alice, reason="once more")
    assert approve(version, frank).state == V.CANDIDATE
    found = queries.approving(
        AgentVersion.objects.get(pk=version.pk), erin, frozenset({Right.APPROVE_VERSION})
    )
    assert [row.standing for row in found.rows] == ["voided", "counts"] and found.quorum.voided == 1
    assert found.may_approve
    assert approve(version, erin).state == V.APPROVED


def test_an_approval_is_of_one_genome(version, two, erin):
    approve(version, erin)
    version.genome = make.genome(template=version.template)
    assert not VersionApproval.objects.standing(version).exists()


def test_an_approval_is_taken_back_by_who_gave_it_and_may_be_given_anew(version, two, erin, frank):
    approve(version, erin)
    with pytest.raises(Conflict, match="No approval of yours"):
        services.withdraw_approval(version=version, actor=frank, reason="not his")
    services.withdraw_approval(version=version, actor=erin, reason="saw a flaw")
    assert ApprovalWithdrawal.objects.get().approval.person == erin
    assert ChangeRecord.objects.about(version).filter(verb="registry.version.approval_withdrawn").count() == 1
    assert approve(version, frank).state == V.CANDIDATE
    assert approve(version, erin, "it was none").state == V.APPROVED


def test_what_is_approved_already_is_not_taken_back(version, erin):
    approve(version, erin)
    with pytest.raises(Conflict, match="Approved already"):
        services.withdraw_approval(version=version, actor=erin, reason="regrets")


def test_who_has_lost_the_right_meanwhile_counts_no_more(version, two, tenant, erin, frank):
    approve(version, erin)
    for model in grant_models():
        if issubclass(model, UserGrant):
            model._default_manager.filter(user=erin).update(expires_at=clock.now() - timedelta(minutes=1))
    assert approve(version, frank).state == V.CANDIDATE
    found = queries.approving(AgentVersion.objects.get(pk=version.pk), frank, frozenset())
    assert [row.standing for row in found.rows] == ["lapsed", "counts"]


def test_a_role_that_the_agent_does_may_ask_for_more(version, tenant, erin, boss):
    role = make.role("cashier", tenant=tenant, name="Cashier")
    make.role_assignment(version=make.approved(template=version.template), role=role)
    services.update_role(role=role, actor=boss, reason="money", approvals=2)
    assert approve(version, erin).state == V.CANDIDATE
    found = queries.approving(AgentVersion.objects.get(pk=version.pk), erin, frozenset())
    assert (found.quorum.needs, found.quorum.why) == (2, "the role Cashier asks for it")


def test_the_risk_of_a_role_counts_like_the_risk_of_its_agent(version, tenant, boss):
    services.require_approvals(tenant=tenant, by_risk={"critical": 3}, actor=boss, reason="rule")
    role = make.role("treasurer", tenant=tenant, name="Treasurer", risk=Risk.CRITICAL)
    make.slot(role=role, environment=make.environment(tenant=tenant), current_version=version)
    found = queries.approving(version, boss, frozenset())
    assert (found.quorum.needs, found.quorum.why) == (3, "the role Treasurer is of critical risk")


def test_who_works_alone_approves_alone_and_the_record_says_so(tenant):
    solo = person("solo", tenant, Right.SUBMIT_VERSION, Right.APPROVE_VERSION, Right.MANAGE_DIRECTORY)
    services.require_approvals(tenant=tenant, by_risk={"medium": 2}, actor=solo, reason="one day")
    built = make.version(state=V.CANDIDATE, created_by=solo, candidate_round=1)
    assert approve(built, solo).state == V.APPROVED
    moved = ChangeRecord.objects.about(built).filter(verb="registry.version.moved").first()
    assert moved.after["sod_mode"] == "reduced"


@pytest.mark.parametrize("rule", [{"huge": 2}, {"high": 0}, {"high": 10}])
def test_a_rule_that_there_cannot_be_is_refused_with_its_pointer(tenant, boss, rule):
    with pytest.raises(Invalid) as refused:
        services.require_approvals(tenant=tenant, by_risk=rule, actor=boss, reason="rule")
    assert [one["pointer"] for one in refused.value.errors] == [f"/approvals/{next(iter(rule))}"]


def test_approvals_are_kept_as_they_were_given(version, two, erin):
    approve(version, erin)
    for change in (
        lambda rows: rows.update(reason="other"),
        lambda rows: rows.delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change(VersionApproval.objects.filter(version=version))


def test_candidates_wait_for_those_who_may_approve_them_and_have_not(version, two, alice, erin, frank):
    everything = AgentVersion.objects.all()
    assert list(queries.waiting_for(everything, erin)) == [version]
    assert not queries.waiting_for(everything, alice).exists()
    approve(version, erin)
    assert not queries.waiting_for(everything, erin).exists()
    assert list(queries.waiting_for(everything, frank)) == [version]


# pages and the API


def test_the_pages_lead_an_approver_from_home_to_the_quorum(version, two, client, erin, frank):
    client.force_login(erin)
    home = client.get("/").content.decode()
    assert "Versions to approve" in home and f"versions/{version.typeid}/approve/" in home
    page = f"/registry/versions/{version.typeid}/"
    assert "2 people who neither built nor submitted it approve it" in client.get(page).content.decode()
    assert "0 of 2 approved" in client.get(f"{page}approve/").content.decode()
    assert client.post(f"{page}approve/", {"reason": "read it"}).status_code == 302
    shown = client.get(page).content.decode()
    assert f"1 of 2 approved: {erin}." in shown and "Take mine back" in shown
    assert client.post(f"{page}unapprove/", {"reason": "no"}).status_code == 302
    assert "Taken back" in client.get(page).content.decode()
    client.force_login(frank)
    assert version.typeid in client.get("/registry/versions/?approval=mine").content.decode()
    approve(version, erin)
    assert ": 1 approval so far." in client.get("/").content.decode()


def test_the_rule_is_set_on_its_page(client, tenant, boss):
    client.force_login(boss)
    sent = {"low": 1, "medium": 1, "high": 2, "critical": 3, "reason": "rule"}
    assert client.post("/registry/rules/approvals/", sent).status_code == 302
    assert 'value="3"' in client.get("/registry/rules/approvals/").content.decode()


def test_the_api_says_the_same(version, two, erin, frank, client):
    client.force_login(erin)
    at = f"/api/v1/registry/versions/{version.typeid}/"
    told = client.post(f"{at}approve/", {"reason": "read it"}, content_type="application/json")
    assert (told.status_code, told.json()["state"]) == (200, "candidate")
    found = client.get(f"{at}approvals/").json()
    assert (found["needs"], found["left"], found["said"]) == (2, 1, f"1 of 2 approved: {erin}.")
    assert [(row["person"], row["standing"]) for row in found["approvals"]] == [("erin", "counts")]
    again = client.post(f"{at}approve/", {"reason": "again"}, content_type="application/json")
    assert again.status_code == 409
    back = client.post(f"{at}withdraw-approval/", {"reason": "no"}, content_type="application/json")
    assert (back.status_code, back.json()["left"]) == (200, 2)
    client.force_login(frank)
    moved = client.post(f"{at}move/", {"to": "approved", "reason": "go"}, content_type="application/json")
    assert moved.status_code == 409 and "0 of 2 approved" in moved.json()["detail"]


def test_the_rule_is_read_and_set_through_the_api(tenant, boss, client):
    client.force_login(boss)
    sent = {"approvals": {"critical": 2}, "reason": "rule"}
    told = client.patch("/api/v1/registry/rules/", sent, content_type="application/json")
    assert told.json()["approvals"] == {"low": 1, "medium": 1, "high": 1, "critical": 2}
