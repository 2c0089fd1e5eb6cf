"""Policy Center: the simulator, drafts that lose nothing, two people to activate, bindings, tools, decisions."""

import json

import pytest
from django.urls import reverse

from policy.lifecycle import PolicyState
from policy.models import Binding, Policy, PolicyVersion, ToolRisk
from tests import make
from tests.policy.people import CAST, hire

pytestmark = pytest.mark.django_db


@pytest.fixture
def people():
    return hire(make.tenant("acme"), **CAST)


@pytest.fixture
def instance(people):
    return make.instance()


def text(client, person, url):
    client.force_login(person)
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def draft_form(**members):
    return {
        "name": "Base",
        "slug": "base",
        "purpose": "Holds everywhere",
        "content": json.dumps(make.policy_document()),
        "reason": "start",
    } | members


def test_the_simulator_shows_an_answer_and_its_reasons_for_every_tool(client, people, instance):
    make.bound(instance.template)
    url = f"{reverse('policy:simulator')}?subject={instance.typeid}"
    client.force_login(people["vera"])
    page = client.get(url)
    assert [(row.tool, row.decision) for row in page.context["simulation"].answers] == [("search", "allow")]
    every = {row.tool: row.decision for row in client.get(f"{url}&all=1").context["simulation"].answers}
    assert len(every) == 62 and every["payment"] == "approve"


def test_the_simulator_asks_about_one_call_with_its_arguments(client, people, instance):
    make.bound(instance.template)
    client.force_login(people["vera"])
    url = f"{reverse('policy:simulator')}?subject={instance.typeid}"
    page = client.post(url, {"tool": "search", "args": '{"q": "deployment docs"}'})
    assert page.context["answer"].decision == "allow"
    page = client.post(url, {"tool": "search", "args": '{"api_key": "0f9a8b7c6d5e4f3a"}'})
    assert (page.context["answer"].risk, page.context["answer"].decision) == ("red", "approve")


def test_arguments_that_are_no_json_object_are_said_to_be_none(client, people, instance):
    client.force_login(people["vera"])
    url = f"{reverse('policy:simulator')}?subject={instance.typeid}"
    for args, why in (("{", "not JSON"), ("[1]", "JSON object"), ('{"a":1,"a":2}', "stands there twice")):
        page = client.post(url, {"tool": "search", "args": args})
        assert "answer" not in page.context and why in page.content.decode()


def test_a_stopped_instance_is_denied_in_the_simulator_as_in_life(client, people, instance):
    make.bound(instance.template)
    make.posture(instance.environment, reason="Leak")
    page = text(client, people["vera"], f"{reverse('policy:simulator')}?subject={instance.typeid}")
    assert "Reason: Leak" in page


def test_a_version_of_another_tenant_is_not_found_in_the_simulator(client, people):
    other = make.version(template=make.template(tenant=make.tenant("other")))
    page = text(client, people["vera"], f"{reverse('policy:simulator')}?subject={other.typeid}")
    assert "not yours to see" in page


def test_every_wrong_member_is_shown_at_once_and_nothing_typed_is_lost(client, people):
    client.force_login(people["grace"])
    wrong = '{"schema": "arm.policy/v1", "tier": 9, "tools": [{"match": {}, "effect": "perhaps"}], "hue": 1}'
    page = client.post(reverse("policy:policy_create"), draft_form(content=wrong, purpose="Kept as typed"))
    body = page.content.decode()
    assert page.status_code == 422
    for pointer in ("/tier:", "/tools/0/match:", "/tools/0/effect:", "/hue:"):
        assert pointer in body
    assert "perhaps" in body and "Kept as typed" in body
    assert not Policy.objects.exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [("{", "line 1, column 2"), ('{"a": 1, "a": 2}', "stands there twice"), ('{"a": NaN}', "NaN is not")],
)
def test_what_is_no_json_is_said_to_be_none(client, people, content, why):
    client.force_login(people["grace"])
    page = client.post(reverse("policy:policy_create"), draft_form(content=content))
    assert why in page.content.decode() and not Policy.objects.exists()


def test_an_author_drafts_and_somebody_else_activates(client, people):
    client.force_login(people["grace"])
    client.post(reverse("policy:policy_create"), draft_form())
    version = PolicyVersion.objects.get()
    activate = reverse("policy:version_activate", args=[version.typeid])
    page = text(client, people["grace"], version.get_absolute_url())
    assert activate not in page and "erin, frank" in page
    assert client.post(activate, {"reason": "mine"}).status_code == 403
    page = text(client, people["erin"], version.get_absolute_url())
    assert activate in page
    assert "first version to take effect" in text(client, people["erin"], activate)
    assert client.post(activate, {"reason": "read"}).status_code == 302
    version.refresh_from_db()
    assert version.state == PolicyState.ACTIVE


def test_an_approver_who_wrote_a_draft_does_not_activate_it(client, people):
    version = make.policy_version(created_by=people["erin"])
    page = text(client, people["erin"], version.get_absolute_url())
    assert "Who wrote a policy does not activate it." in page
    client.force_login(people["erin"])
    refused = client.post(reverse("policy:version_activate", args=[version.typeid]), {"reason": "x"})
    assert refused.status_code == 403 and "another approver" in refused.content.decode()


def test_a_version_is_shown_in_words_and_against_the_active_one(client, people):
    first = make.policy_version(state=PolicyState.ACTIVE)
    second = make.policy_version(policy=first.policy, content=make.policy_document(tier=1))
    page = text(client, people["vera"], second.get_absolute_url())
    assert "At most tier 1 (assisted)" in page and "At most tier 2 (supervised)" in page
    diff = text(client, people["vera"], reverse("policy:version_diff", args=[second.typeid]))
    assert "New" in diff and "Gone" in diff


def test_a_new_version_starts_from_the_newest_and_the_same_again_is_refused(client, people):
    version = make.policy_version(state=PolicyState.ACTIVE)
    url = reverse("policy:version_draft", args=[version.policy.typeid])
    client.force_login(people["grace"])
    content = client.get(url).context["form"]["content"].value()
    assert json.loads(content) == make.policy_document()
    again = client.post(url, {"content": content, "reason": "same"})
    assert again.status_code == 409 and version.get_absolute_url() in again.content.decode()
    client.post(url, {"content": json.dumps(make.policy_document(tier=0)), "reason": "stricter"})
    assert version.policy.versions.count() == 2


def test_an_analyst_binds_a_policy_to_an_instance_by_its_identifier(client, people, instance):
    policy = make.policy()
    client.force_login(people["grace"])
    body = {"policy": policy.slug, "named": instance.typeid, "reason": "stricter"}
    assert client.post(reverse("policy:binding_create"), body).status_code == 302
    binding = Binding.objects.get()
    assert (binding.instance, binding.bound_by) == (instance, people["grace"])
    end = reverse("policy:binding_end", args=[binding.typeid])
    assert client.post(end, {"reason": "x"}).status_code == 403
    client.force_login(people["erin"])
    assert client.post(end, {"reason": "Replaced."}).status_code == 302
    assert not Binding.objects.in_force().exists()


def test_a_scope_and_an_identifier_at_once_bind_nothing(client, people, instance):
    client.force_login(people["grace"])
    body = {
        "policy": make.policy().slug,
        "scope": instance.environment.typeid,
        "named": instance.typeid,
        "reason": "x",
    }
    assert "one of the two" in client.post(reverse("policy:binding_create"), body).content.decode()
    assert not Binding.objects.exists()


def test_a_tool_is_raised_here_and_shown_beside_what_everybody_has(client, people):
    client.force_login(people["grace"])
    body = {"tool": "search", "risk": "red", "ceiling": "1", "reason": "Customer data."}
    assert client.post(reverse("policy:tool_classify"), body).status_code == 302
    entry = ToolRisk.objects.get()
    assert (entry.risk, entry.ceiling, entry.note) == ("red", 1, "Customer data.")
    page = text(client, people["vera"], reverse("policy:tool_list"))
    assert "Customer data." in page and reverse("policy:tool_end", args=[entry.typeid]) not in page
    lowered = {"tool": "payment", "risk": "green", "reason": "x"}
    client.force_login(people["grace"])
    assert client.post(reverse("policy:tool_classify"), lowered).status_code == 422


@pytest.mark.parametrize("name", ["policy_create", "binding_create"])
def test_a_viewer_gets_no_form(client, people, name):
    client.force_login(people["vera"])
    assert client.get(reverse(f"policy:{name}")).status_code == 403


def test_decisions_go_by_key_and_are_never_counted(client, people, instance, django_assert_max_num_queries):
    made = sorted((make.decision(instance) for _ in range(52)), key=lambda row: row.pk)
    client.force_login(people["vera"])
    url = reverse("policy:decision_list")
    with django_assert_max_num_queries(15):
        page = client.get(url)
    assert [row.pk for row in page.context["rows"]] == [row.pk for row in made[:1:-1]]
    older = client.get(f"{url}{page.context['next_url']}")
    assert [row.pk for row in older.context["rows"]] == [row.pk for row in made[1::-1]]


def test_decisions_filter_by_tool_answer_and_instance(client, people, instance):
    make.decision(instance), make.decision(instance, tool="search", decision=2)
    make.decision(make.instance(), tool="search")
    client.force_login(people["vera"])
    url = f"{reverse('policy:decision_list')}?tool=SEARCH&decision=2&instance={instance.typeid}"
    assert [row.tool for row in client.get(url).context["rows"]] == ["search"]


def test_a_decision_says_why_by_which_policy_and_under_which_digests(client, people, instance):
    version = make.policy_version()
    reasons = [{"code": "rule_deny", "sentence": "Not this.", "rule": f"{version.digest}#/tools/0"}]
    decision = make.decision(instance, decision=2, reasons=json.dumps(reasons))
    page = text(client, people["vera"], reverse("policy:decision_detail", args=[decision.typeid]))
    assert "Not this." in page and f"{version.get_absolute_url()}#rule-tools-0" in page
    assert f"sha256:{(b'a' * 32).hex()}" in page


@pytest.mark.parametrize(("name", "most"), [("policy_list", 16), ("binding_list", 15), ("tool_list", 15)])
def test_a_list_costs_few_queries(client, people, name, most, django_assert_max_num_queries):
    for _ in range(4):
        make.bound(make.template())
    client.force_login(people["vera"])
    with django_assert_max_num_queries(most):
        assert client.get(reverse(f"policy:{name}")).status_code == 200
