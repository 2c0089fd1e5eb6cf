"""Policy in the admin: an analyst and an operator of one environment work in it without being superusers."""

import json
from datetime import timedelta

import pytest
from django.test import Client

from arm import clock
from arm import services as core
from arm.models import ChangeRecord
from policy import services
from policy.engine import Mode
from policy.lifecycle import ApprovalState, PolicyState
from policy.models import Binding, Policy, PolicyVersion, Posture, RestrictionRequest, ToolRisk
from tests import make
from tests.policy.test_approvals import requested

pytestmark = pytest.mark.django_db
ADMIN = "/admin/policy"


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def prod(acme):
    return make.environment("prod")


@pytest.fixture
def judy(acme):
    return make.everything(make.user("judy", member_of=acme), acme)


@pytest.fixture
def hire(judy):
    def hire(name, role, scope):
        person = make.user(name, member_of=judy.memberships.get().tenant)
        core.bind(principal=person, role=role, scope=scope, actor=judy, reason="hired")
        return person

    return hire


def desk(person):
    client = Client()
    client.force_login(person)
    return client


def act(client, noun, name, *rows, **form):
    data = {"action": name, "_selected_action": [str(row.pk) for row in rows], "confirmed": "1", **form}
    return client.post(f"{ADMIN}/{noun}/", data, follow=True)


class TestAnalyst:
    """Grace drafts and binds for the whole tenant; she activates and lifts nothing."""

    @pytest.fixture
    def grace(self, hire, acme):
        return hire("grace", "grc_analyst", acme)

    def test_she_drafts_a_policy_through_the_service(self, grace):
        document = json.dumps(make.policy_document(tier=1))
        form = {"name": "Mail", "slug": "mail", "purpose": "", "document": document, "reason": "asked for"}
        answer = desk(grace).post(f"{ADMIN}/policy/add/", form, follow=True)
        assert answer.status_code == 200
        version = PolicyVersion.objects.get(policy__slug="mail")
        assert (version.state, version.tier, version.created_by) == (PolicyState.DRAFT, 1, grace)
        assert ChangeRecord.objects.filter(verb="policy.version.drafted", actor_id=grace.pk).exists()

    def test_a_wrong_document_is_refused_with_its_pointers_and_nothing_is_stored(self, grace):
        form = {"name": "Mail", "slug": "mail", "purpose": "", "document": '{"tier": 9}', "reason": "x"}
        answer = desk(grace).post(f"{ADMIN}/policy/add/", form, follow=True)
        assert b"/tier" in answer.content and b"/schema" in answer.content
        assert not Policy.objects.exists()

    def test_she_binds_by_identifier_and_cannot_bind_to_what_is_not_there(self, grace, prod):
        policy = make.policy()
        form = {"policy": policy.pk, "scope": prod.typeid, "reason": "strict"}
        desk(grace).post(f"{ADMIN}/binding/add/", form)
        assert Binding.objects.get(policy=policy).target == prod
        answer = desk(grace).post(f"{ADMIN}/binding/add/", form | {"scope": "env_nonsense"})
        assert b"errornote" in answer.content or b"identifier" in answer.content
        assert Binding.objects.count() == 1

    def test_she_classifies_a_tool(self, grace):
        form = {"tool": "crm_*", "risk": "red", "tool_class": "", "ceiling": "1", "note": "customers"}
        desk(grace).post(f"{ADMIN}/toolrisk/add/", form)
        assert ToolRisk.objects.get().created_by == grace

    def test_she_cannot_lower_a_known_tool(self, grace):
        form = {"tool": "payment", "risk": "green", "tool_class": "", "ceiling": "", "note": "x"}
        answer = desk(grace).post(f"{ADMIN}/toolrisk/add/", form, follow=True)
        assert not ToolRisk.objects.exists()
        assert b"raise that, not lower it" in answer.content or b"activate policy" in answer.content

    def test_commands_that_are_not_hers_do_nothing(self, grace, acme, judy):
        version = make.policy_version()
        posture = services.set_posture(scope=make.instance(), mode=Mode.PAUSED, actor=judy, reason="x")
        act(desk(grace), "policyversion", "activate", version, reason="mine")
        act(desk(grace), "posture", "lift", posture, reason="mine")
        assert PolicyVersion.objects.get(pk=version.pk).state == PolicyState.DRAFT
        assert Posture.objects.in_force().exists()


class TestApprover:
    @pytest.fixture
    def erin(self, hire, acme):
        return hire("erin", "approver", acme)

    def test_she_activates_what_another_wrote(self, erin, judy):
        version = make.policy_version(created_by=judy)
        act(desk(erin), "policyversion", "activate", version, reason="read it")
        assert PolicyVersion.objects.get(pk=version.pk).activated_by == erin

    def test_her_own_draft_is_refused_and_the_page_says_why(self, erin):
        version = make.policy_version(created_by=erin)
        answer = act(desk(erin), "policyversion", "activate", version, reason="mine")
        assert b"Who wrote a policy does not activate it" in answer.content
        assert PolicyVersion.objects.get(pk=version.pk).state == PolicyState.DRAFT

    def test_she_denies_a_request_and_a_yes_is_not_offered_here(self, erin):
        request = requested(make.instance())
        act(desk(erin), "approvalrequest", "approve", request, reason="fine")
        request.refresh_from_db()
        assert request.state == ApprovalState.PENDING
        act(desk(erin), "approvalrequest", "deny", request, reason="no")
        request.refresh_from_db()
        assert request.state == ApprovalState.DENIED


class TestOperator:
    """Dan runs production only."""

    @pytest.fixture
    def dan(self, hire, prod):
        return hire("dan", "fleet_operator", prod)

    def test_he_stops_and_releases_what_is_his(self, dan, prod):
        instance = make.instance(environment=prod)
        form = {"scope": instance.typeid, "mode": "paused", "reason": "odd answers"}
        desk(dan).post(f"{ADMIN}/posture/add/", form)
        posture = Posture.objects.get()
        assert (posture.instance, posture.set_by) == (instance, dan)
        act(desk(dan), "posture", "lift", posture, reason="mended")
        posture.refresh_from_db()
        assert posture.lifted_by == dan

    def test_he_stops_nothing_elsewhere(self, dan, acme):
        for scope in (acme, make.environment("dev"), make.instance()):
            prefix = scope.typeid if hasattr(scope, "typeid") else f"ten_{scope.pk}"
            desk(dan).post(f"{ADMIN}/posture/add/", {"scope": prefix, "mode": "paused", "reason": "x"})
        assert not Posture.objects.exists()

    def test_what_is_not_his_is_not_in_any_list_count_or_address(self, dan, prod, judy):
        here, there = make.instance(environment=prod), make.instance()
        rows = {}
        for instance in (here, there):
            asked, bound = requested(instance), make.bound(instance).bindings.get()
            stop = services.set_posture(scope=instance, mode=Mode.PAUSED, actor=judy, reason="odd answers")
            rows[instance] = [asked, bound, stop]
        client = desk(dan)
        for mine, theirs in zip(rows[here], rows[there], strict=True):
            noun = mine._meta.model_name
            page = client.get(f"{ADMIN}/{noun}/").content.decode()
            assert str(mine.pk) in page and str(theirs.pk) not in page
            assert client.get(f"{ADMIN}/{noun}/{mine.pk}/change/").status_code == 200
            assert client.get(f"{ADMIN}/{noun}/{theirs.pk}/change/").status_code in (302, 404)
            exported = act(client, noun, "export_csv", mine, theirs).content.decode()
            assert mine.typeid in exported and theirs.typeid not in exported

    def test_history_is_the_change_record(self, dan, prod, judy):
        instance = make.instance(environment=prod)
        posture = services.set_posture(scope=instance, mode=Mode.PAUSED, actor=judy, reason="odd answers")
        page = desk(dan).get(f"{ADMIN}/posture/{posture.pk}/history/").content.decode()
        assert "policy.posture.set" in page and "odd answers" in page


@pytest.mark.parametrize(
    "noun",
    [
        "policy",
        "policyversion",
        "binding",
        "toolrisk",
        "posture",
        "restrictionrequest",
        "approvalrequest",
        "decision",
        "limitusage",
    ],
)
def test_a_stranger_is_shown_nothing(acme, noun):
    mallory = make.user("mallory", member_of=acme)
    assert desk(mallory).get(f"{ADMIN}/{noun}/").status_code in (302, 403, 404)


@pytest.mark.parametrize(
    "noun",
    [
        "policy",
        "policyversion",
        "binding",
        "toolrisk",
        "posture",
        "restrictionrequest",
        "approvalrequest",
        "decision",
        "limitusage",
    ],
)
def test_every_list_and_every_row_opens(judy, acme, noun):
    instance = make.instance()
    make.bound(acme)
    requested(instance)
    services.set_posture(
        scope=instance, mode=Mode.DRAINING, actor=judy, reason="x", until=clock.now() + timedelta(hours=1)
    )
    make.restriction(acme)
    services.set_tool_risk(tenant=acme, tool="crm_*", risk="red", actor=judy, note="x")
    client = desk(judy)
    assert client.get(f"{ADMIN}/{noun}/").status_code == 200
    model = {
        "policy": Policy,
        "policyversion": PolicyVersion,
        "binding": Binding,
        "toolrisk": ToolRisk,
        "posture": Posture,
        "restrictionrequest": RestrictionRequest,
    }.get(noun)
    if model is not None:
        row = model.objects.first()
        assert client.get(f"{ADMIN}/{noun}/{row.pk}/change/").status_code == 200
        assert client.get(f"{ADMIN}/{noun}/add/").status_code in (200, 403)


class TestRequestsForAStop:
    @pytest.fixture
    def grace(self, hire, acme):
        return hire("grace", "grc_analyst", acme)

    @pytest.fixture
    def dan(self, hire, acme):
        return hire("dan", "fleet_operator", acme)

    def test_an_analyst_asks_and_takes_back(self, grace, prod):
        form = {"scope": prod.typeid, "mode": "paused", "reason_code": "cost", "reason": "adverts"}
        desk(grace).post(f"{ADMIN}/restrictionrequest/add/", form)
        request = RestrictionRequest.objects.get()
        assert (request.target, request.asked_by, request.state) == (prod, grace, "requested")
        act(desk(grace), "restrictionrequest", "withdraw", request, reason="I erred")
        request.refresh_from_db()
        assert request.state == "withdrawn"

    def test_an_operator_declines_and_a_yes_is_not_offered_here(self, grace, dan, prod):
        request = make.restriction(prod, asked_by=grace)
        act(desk(dan), "restrictionrequest", "confirm", request, reason="fine")
        request.refresh_from_db()
        assert request.state == "requested"
        act(desk(dan), "restrictionrequest", "decline", request, reason="no")
        request.refresh_from_db()
        assert (request.state, request.closed_by) == ("declined", dan)
        page = desk(dan).get(f"{ADMIN}/restrictionrequest/{request.pk}/change/").content.decode()
        assert "Declined" in page and "dan" in page

    def test_production_is_not_stopped_by_one_here_either(self, dan, grace, prod):
        desk(dan).post(f"{ADMIN}/posture/add/", {"scope": prod.typeid, "mode": "paused", "reason": "x"})
        assert not Posture.objects.exists()
