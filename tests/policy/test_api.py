"""The policy API: approvals that agents poll and people decide, stops, drafts, bindings, the simulator."""

import json
import time
from datetime import timedelta

import pytest
from django.urls import reverse

from arm import clock, ids
from arm.models import ApiKey
from policy.lifecycle import ApprovalState
from policy.models import ApprovalRequest, Binding, Policy, PolicyVersion, Posture, ToolRisk
from tests import make
from tests.policy.test_approvals import requested

pytestmark = pytest.mark.django_db
API = "/api/v1/policy"


@pytest.fixture
def instance(acme):
    return make.instance()


@pytest.fixture
def as_(client, acme, people):
    """`as_("erin")`: asks with a personal token of that person, as a script would."""

    def speaker(name):
        _, token = make.key(ApiKey.Kind.PERSONAL, tenant=acme, user=people[name])
        return Speaker(client, token)

    return speaker


@pytest.fixture
def signed_in(client, people):
    """`signed_in("erin")`: asks with that person's session, as the console does."""

    def speaker(name):
        client.force_login(people[name])
        return Speaker(client)

    return speaker


class Speaker:
    def __init__(self, client, token=""):
        self.client, self.headers = client, {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path):
        return self.client.get(path if path.startswith("/") else f"{API}/{path}", headers=self.headers)

    def post(self, path, **body):
        url = path if path.startswith("/") else f"{API}/{path}"
        return self.client.post(url, json.dumps(body), "application/json", headers=self.headers)


def problem(response, status, code):
    assert response.status_code == status, response.content
    assert response["Content-Type"].startswith("application/problem+json")
    body = response.json()
    assert body["code"] == code and body["detail"] and body["request_id"]
    return body


# --- approvals -----------------------------------------------------------------------------------------------


def test_an_agent_polls_its_own_request_with_and_without_a_slash(client, instance):
    request = requested(instance)
    agent = Speaker(client, make.workload_token(instance))
    for slash in ("", "/"):
        body = agent.get(f"approvals/{request.typeid}{slash}").json()
        assert (body["state"], body["digest"]) == ("pending", request.digest)
        assert "decisions" not in body


def test_an_agent_learns_nothing_of_another_agents_request(client, instance):
    other = make.instance()
    agent = Speaker(client, make.workload_token(other))
    problem(agent.get(f"approvals/{requested(instance).typeid}"), 404, "not_found")


def test_an_agent_lists_and_decides_nothing(client, instance):
    request = requested(instance)
    agent = Speaker(client, make.workload_token(instance))
    problem(agent.get("approvals/"), 403, "not_allowed")
    body = {"approve": True, "reason": "me", "digest": request.digest}
    problem(agent.post(f"approvals/{request.typeid}/decide/", **body), 403, "not_allowed")
    assert not request.decisions.exists()


def test_a_revoked_workload_token_is_401(client, instance):
    request = requested(instance)
    token = make.workload_token(instance)
    ApiKey.objects.update(revoked_at=clock.now())
    problem(Speaker(client, token).get(f"approvals/{request.typeid}"), 401, "authentication_failed")


def test_an_approver_decides_what_they_saw(signed_in, instance):
    request = requested(instance)
    erin = signed_in("erin")
    body = erin.post(
        f"approvals/{request.typeid}/decide/", approve=True, reason="Real.", digest=request.digest
    )
    assert body.status_code == 200 and body.json()["state"] == "approved"
    assert body.json()["decisions"][0]["person"] == "erin"


@pytest.mark.parametrize("kind", [ApiKey.Kind.PERSONAL, ApiKey.Kind.SERVICE])
def test_a_token_decides_nothing_whoever_it_acts_as(client, acme, people, instance, kind):
    request = requested(instance)
    _, token = make.key(kind, tenant=acme, user=people["erin"])
    body = {"approve": True, "reason": "Real.", "digest": request.digest}
    said = problem(
        Speaker(client, token).post(f"approvals/{request.typeid}/decide/", **body), 403, "not_allowed"
    )
    assert said["detail"] == "A token cannot decide this: people do, signed in, on the request's page."
    assert not request.decisions.exists()


def test_a_token_lifts_nothing_that_takes_an_approver(as_, signed_in, instance):
    made = as_("dan").post("postures/", scope=instance.typeid, mode="read_only", reason="Leak?").json()
    lift = f"postures/{made['id']}/lift/"
    said = problem(as_("erin").post(lift, reason="x"), 403, "not_allowed")
    assert said["detail"].startswith("A token cannot lift this")
    assert signed_in("erin").post(lift, reason="Looked at.").status_code == 200


def test_a_decision_about_other_bytes_is_409(signed_in, instance):
    request = requested(instance)
    body = {"approve": True, "reason": "Real.", "digest": "sha256:" + "0" * 64}
    problem(signed_in("erin").post(f"approvals/{request.typeid}/decide/", **body), 409, "conflict")


def test_a_decision_names_every_wrong_member(as_, instance):
    request = requested(instance)
    body = problem(
        as_("erin").post(f"approvals/{request.typeid}/decide/", approve="maybe", x=1), 422, "invalid"
    )
    assert {each["pointer"] for each in body["errors"]} == {"/approve", "/reason", "/digest", "/x"}
    body = problem(as_("erin").post(f"approvals/{request.typeid}/decide/", approve="maybe"), 422, "invalid")
    assert {each["pointer"] for each in body["errors"]} == {"/approve", "/reason", "/digest"}


def test_a_viewer_may_not_decide(as_, instance):
    request = requested(instance)
    body = {"approve": True, "reason": "x", "digest": request.digest}
    problem(as_("vera").post(f"approvals/{request.typeid}/decide/", **body), 403, "not_allowed")


def test_the_list_of_what_waits_filters_by_state(as_, instance):
    waiting, denied = requested(instance), make.approval(instance, state=ApprovalState.DENIED)
    vera = as_("vera")
    assert [row["id"] for row in vera.get("approvals/?state=pending").json()["results"]] == [waiting.typeid]
    assert len(vera.get("approvals/").json()["results"]) == 2
    assert [row["id"] for row in as_("erin").get("approvals/mine/").json()] == [waiting.typeid]
    assert denied.typeid not in vera.get("approvals/mine/").content.decode()


def test_a_request_past_its_time_reads_expired(as_, instance):
    request = make.approval(instance, expires_at=clock.now() - timedelta(seconds=1))
    assert as_("vera").get(f"approvals/{request.typeid}/").json()["state"] == "expired"


def test_an_approver_cancels(as_, instance):
    request = requested(instance)
    assert (
        as_("erin").post(f"approvals/{request.typeid}/cancel/", reason="Twice.").json()["state"]
        == "cancelled"
    )


# --- stops ---------------------------------------------------------------------------------------------------


def test_a_preview_says_how_far_and_stores_nothing(as_, instance):
    body = as_("dan").post("postures/preview/", scope=instance.environment.typeid, mode="paused").json()
    assert body["numbers"]["agents"] == 1 and not any(row["allowed"] for row in body["columns"])
    assert not Posture.objects.exists()


def test_an_operator_stops_and_lifts(as_, instance):
    dan = as_("dan")
    made = dan.post("postures/", scope=instance.typeid, mode="paused", reason="Loops.")
    assert made.status_code == 201 and made["Location"].endswith(made.json()["id"] + "/")
    assert made.json()["in_force"] and made.json()["reach"]["agents"] == 1
    lifted = dan.post(f"postures/{made.json()['id']}/lift/", reason="Mended.")
    assert lifted.status_code == 200 and not lifted.json()["in_force"]


def test_the_same_stop_again_is_409_with_the_one_that_stands(as_, instance):
    dan = as_("dan")
    first = dan.post("postures/", scope=instance.typeid, mode="paused", reason="Loops.").json()
    again = problem(dan.post("postures/", scope=instance.typeid, mode="paused", reason="x"), 409, "duplicate")
    assert again["id"] == first["id"]


def test_a_quarantine_needs_approvers_and_says_how_many(signed_in, instance):
    dan = signed_in("dan")
    made = dan.post("postures/", scope=instance.typeid, mode="quarantined", reason="Leak?").json()
    refused = problem(dan.post(f"postures/{made['id']}/lift/", reason="x"), 409, "approval_needed")
    assert (refused["needs"], refused["have"]) == (2, 0)
    asked = dan.post(f"postures/{made['id']}/request-lift/", reason="Looked at.")
    assert asked.status_code == 202 and asked.json()["quorum"] == 2


@pytest.mark.parametrize("scope", ["nonsense", "ins_" + "0" * 26, "chg_00000000000000000000000000"])
def test_a_scope_that_names_nothing_is_422_with_its_pointer(as_, scope):
    body = problem(as_("dan").post("postures/", scope=scope, mode="paused", reason="x"), 422, "invalid")
    assert body["errors"][0]["pointer"] == "/scope"


def test_who_may_not_restrict_is_403_and_nothing_stands(as_, instance):
    problem(
        as_("grace").post("postures/", scope=instance.typeid, mode="paused", reason="x"), 403, "not_allowed"
    )
    assert not Posture.objects.exists()


def test_postures_are_listed_by_whether_they_stand(as_, instance):
    standing = make.posture(instance)
    make.posture(instance.template, lifted_at=clock.now(), lift_reason="over")
    found = as_("vera").get("postures/?in_force=true").json()["results"]
    assert [row["id"] for row in found] == [standing.typeid]


# --- policies ------------------------------------------------------------------------------------------------


def test_a_policy_goes_from_draft_to_active_to_bound(as_, instance):
    grace = as_("grace")
    made = grace.post("policies/", slug="base", name="Base", content=make.policy_document(), reason="start")
    assert made.status_code == 201 and made.json()["state"] == "draft" and made.json()["words"]["Tier"]
    version = made.json()
    problem(grace.post(f"versions/{version['id']}/activate/", reason="mine"), 403, "not_allowed")
    assert as_("erin").post(f"versions/{version['id']}/activate/", reason="read").json()["state"] == "active"
    bound = grace.post("bindings/", policy=version["policy"], target=instance.typeid, reason="start")
    assert bound.status_code == 201 and bound.json()["kind"] == "instance"
    assert Binding.objects.in_force().get().instance == instance
    listed = grace.get("policies/").json()["results"]
    assert listed[0]["active"]["digest"] == version["digest"]


def test_every_wrong_member_of_a_document_is_named_at_once(as_):
    wrong = {
        "schema": "arm.policy/v1",
        "tier": 9,
        "tools": [{"match": {}, "effect": "maybe"}],
        "colour": "red",
    }
    response = as_("grace").post("policies/", slug="b", name="B", content=wrong, reason="start")
    pointers = {each["pointer"] for each in problem(response, 422, "invalid")["errors"]}
    assert {"/tier", "/tools/0/match", "/tools/0/effect", "/colour"} <= pointers
    assert not Policy.objects.exists()


def test_two_versions_differ_in_words(as_):
    first = make.policy_version(state="active")
    second = make.policy_version(policy=first.policy, content=make.policy_document(tier=1))
    body = as_("vera").get(f"versions/{second.typeid}/diff/").json()
    assert [(each["section"], each["added"]) for each in body] == [("Tier", False), ("Tier", True)]
    named = as_("vera").get(f"versions/{first.typeid}/diff/?with={second.typeid}").json()
    assert [each["added"] for each in named] == [False, True]


def test_a_first_version_has_nothing_to_differ_from(as_):
    problem(as_("vera").get(f"versions/{make.policy_version().typeid}/diff/"), 409, "conflict")


def test_an_approver_ends_a_binding_and_it_keeps_its_address(as_, instance):
    make.bound(instance)
    binding = Binding.objects.get()
    ended = as_("erin").post(f"bindings/{binding.typeid}/end/", reason="Replaced.")
    assert ended.status_code == 200 and ended.json()["until"]
    assert as_("vera").get("bindings/").json()["results"] == []
    assert as_("vera").get(f"bindings/{binding.typeid}/").json()["ended_by"] == "erin"


def test_a_tool_is_raised_by_an_analyst_and_never_lowered(as_):
    grace = as_("grace")
    assert grace.post("tools/", tool="search", risk="red", note="Customer data.").status_code == 201
    refused = problem(grace.post("tools/", tool="payment", risk="green", note="x"), 422, "invalid")
    assert refused["errors"][0]["pointer"] == "/risk"
    entry = ToolRisk.objects.get()
    problem(grace.post(f"tools/{entry.typeid}/end/", reason="x"), 403, "not_allowed")
    assert as_("erin").post(f"tools/{entry.typeid}/end/", reason="x").json()["until"]


# --- simulator and decisions ---------------------------------------------------------------------------------


def test_the_simulator_answers_as_the_engine_would(as_, instance):
    make.bound(instance)
    vera = as_("vera")
    table = vera.post("simulate/", subject=instance.typeid, catalogue=True).json()
    answers = {row["tool"]: row["decision"] for row in table["answers"]}
    assert (answers["search"], answers["write_file"], answers["payment"]) == ("allow", "allow", "approve")
    one = vera.post("simulate/", subject=instance.typeid, tool="search", args={"password": "hunter2hunter2"})
    assert (one.json()["risk"], one.json()["decision"]) == ("red", "approve")


def test_the_simulator_tries_a_draft_in_the_place_of_what_is_active(as_, instance):
    policy = make.bound(instance)
    draft = make.policy_version(policy=policy, content=make.policy_document(tier=0))
    body = as_("vera").post("simulate/", subject=instance.typeid, policy_version=draft.typeid).json()
    assert body["tier"] == 0 and body["answers"][0]["decision"] == "approve"
    assert PolicyVersion.objects.active().get().policy == policy


def test_without_any_policy_the_simulator_denies_everything(as_, instance):
    body = as_("vera").post("simulate/", subject=instance.version.typeid).json()
    assert body["counts"]["deny"] == len(body["answers"]) == 1
    assert body["answers"][0]["reasons"][0]["code"] == "no_policy"


@pytest.mark.parametrize("subject", ["", "pol_1", "ver_" + "0" * 26])
def test_a_subject_that_names_nothing_is_422(as_, subject):
    body = problem(as_("vera").post("simulate/", subject=subject), 422, "invalid")
    assert body["errors"][0]["pointer"] == "/subject"


def test_decisions_are_read_newest_first_with_their_digests(as_, instance):
    older = make.decision(instance)
    time.sleep(0.002)  # identifiers of one millisecond are in no order
    newer = make.decision(instance, tool="search", risk=0)
    rows = as_("vera").get(f"decisions/?instance={instance.typeid}").json()["results"]
    assert [row["id"] for row in rows] == [newer.typeid, older.typeid]
    assert rows[1]["action_digest"] == f"sha256:{(b'a' * 32).hex()}" and rows[1]["decision"] == "allow"
    assert [row["tool"] for row in as_("vera").get("decisions/?tool=SEARCH").json()["results"]] == ["search"]


def test_a_decision_named_by_its_id_opens_however_old_it_is(as_, instance):
    yesterday = clock.now() - timedelta(hours=25)
    old = make.decision(instance, id=ids.uuid7_at(yesterday), at=yesterday)
    assert as_("vera").get("decisions/?hours=1").json()["results"] == []
    assert as_("vera").get(f"decisions/{old.typeid}/?hours=1").json()["id"] == old.typeid


# --- strangers -----------------------------------------------------------------------------------------------


def test_a_stranger_gets_404_for_every_object_and_empty_lists(client, acme, instance):
    rows = {
        "approvals": make.approval(instance),
        "postures": make.posture(instance),
        "policies": make.policy(),
        "versions": make.policy_version(),
        "bindings": Binding.objects.create(tenant=acme, policy=make.policy(), instance=instance, reason="x"),
        "tools": ToolRisk.objects.create(tenant=acme, tool="crm", risk="red", note="x"),
        "decisions": make.decision(instance),
    }
    other = make.tenant("other")
    mallory = make.everything(make.user("mallory", member_of=other), other)
    _, token = make.key(ApiKey.Kind.PERSONAL, tenant=other, user=mallory)
    stranger = Speaker(client, token)
    for noun, row in rows.items():
        problem(stranger.get(f"{noun}/{row.typeid}/"), 404, "not_found")
        assert stranger.get(f"{noun}/").json()["results"] == []
    request = rows["approvals"]
    body = {"approve": True, "reason": "x", "digest": request.digest}
    problem(stranger.post(f"approvals/{request.typeid}/decide/", **body), 404, "not_found")
    problem(stranger.post(f"postures/{rows['postures'].typeid}/lift/", reason="x"), 404, "not_found")
    assert ApprovalRequest.objects.get().state == ApprovalState.PENDING


def test_nobody_gets_401(client):
    problem(client.get(f"{API}/approvals/{ids.encode('apr', ids.uuid7())}"), 401, "not_authenticated")


def test_the_poll_address_has_a_name(instance):
    request = make.approval(instance)
    url = reverse("policy-approvals-detail", args=[request.typeid])
    assert url.startswith(f"{API}/approvals/{request.typeid}")


@pytest.mark.parametrize("noun", ["approvals", "postures", "policies", "versions", "bindings", "decisions"])
def test_a_list_costs_few_queries(client, people, instance, noun, django_assert_max_num_queries):
    for _ in range(5):
        make.approval(instance)
        make.posture(make.template())
        make.bound(make.template())
        make.decision(instance)
    client.force_login(people["vera"])
    with django_assert_max_num_queries(15):
        assert len(client.get(f"{API}/{noun}/").json()["results"]) == 5
