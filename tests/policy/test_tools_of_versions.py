"""A version whose policies leave it no tool is not promoted; one that keeps some is warned about the others."""

import pytest

from policy.models import PolicyVersion
from policy.plugins import PolicyValidates
from policy.queries.simulation import bench, simulate
from registry.lifecycle import VersionState
from tests import make

pytestmark = pytest.mark.django_db
CANDIDATE = VersionState.CANDIDATE
ALLOWED, ASKED, DENIED = (
    {"match": {"tool": "search"}, "effect": "allow"},
    {"match": {"tool": "refund"}, "effect": "approve"},
    {"match": {"tool": "erase"}, "effect": "deny"},
)


@pytest.fixture
def dev():
    return make.environment("dev", production=False)


@pytest.fixture
def version(dev):
    """Of three tools, all green."""
    agent = make.template("refunds")
    (tool,) = make.genome_document(agent)["tools"]
    tools = [{**tool, "name": name} for name in ("search", "refund", "erase")]
    return make.version(
        template=agent,
        state=VersionState.TESTING,
        genome=make.genome(template=agent, members={"tools": tools}),
    )


def check(version):
    return PolicyValidates().check(version, CANDIDATE)


def test_a_version_that_may_use_all_of_its_tools_passes_without_a_warning(version):
    make.bound(version.template, tools=[ALLOWED, ASKED, {"match": {"tool": "erase"}, "effect": "allow"}])
    verdict = check(version)
    assert verdict.passed and not verdict.warning


def test_what_is_denied_in_every_case_is_named_as_a_warning(version):
    make.bound(version.template, tools=[ALLOWED, ASKED, DENIED])
    verdict = check(version)
    assert verdict.passed and verdict.warning
    assert "They deny 1 of its 3 tools in every case. “erase”: A rule denies" in verdict.reason
    assert "search" not in verdict.reason and "refund" not in verdict.reason, "asked is not denied"


def test_a_version_that_can_use_none_of_its_tools_is_refused_and_each_is_named(version):
    make.bound(version.template, tools=[{"match": {"tool": "*"}, "effect": "deny"}])
    verdict = check(version)
    assert not verdict.passed and verdict.right == "policy_read"
    assert all(f"“{name}”" in verdict.reason for name in ("search", "refund", "erase"))


def test_a_tool_that_no_rule_mentions_is_denied(version):
    make.bound(version.template, tools=[ALLOWED])
    assert "“refund”: No rule of the policy mentions “refund”" in check(version).reason


def test_all_policies_together_decide(version):
    make.bound(version.template, tools=[ALLOWED, ASKED, DENIED])
    make.bound(version, tools=[DENIED, {"match": {"tool": "refund"}, "effect": "deny"}])
    assert not check(version).passed, "the second one mentions no search"


def test_what_one_environment_allows_is_not_denied_in_every_case(version, dev):
    stage = make.environment("stage", production=False)
    make.bound(stage, tools=[{"match": {"tool": "*"}, "effect": "deny"}])
    assert not check(version).passed, "it is the only place with a policy"
    make.bound(dev, tools=[{"match": {"tool": "*"}, "effect": "allow"}])
    verdict = check(version)
    assert verdict.passed and not verdict.warning


def test_the_tier_counts_as_it_does_in_decisions(version):
    make.bound(version.template, tier=0)
    found = check(version)
    assert PolicyVersion.objects.get().tier == 0
    assert found.passed == (decided(version) != "deny")


def decided(version):
    """What the simulator, which asks the decision function itself, answers about its first tool."""
    on = bench(version, environment=None, tried=None, alone=False)
    return simulate(on, everything=False).answers[0].decision


def test_where_no_policy_holds_anywhere_nothing_is_known_yet(version):
    assert check(version).passed and check(version).reason == "No policy is bound to it yet."


def test_a_policy_that_only_observes_denies_nothing(version):
    make.bound(version.template, tools=[{"match": {"tool": "*"}, "effect": "deny"}], mode="observe")
    assert check(version).passed and not check(version).warning


def test_a_version_without_tools_has_none_to_lose(dev):
    agent = make.template("talker")
    bare = make.version(
        template=agent, state=VersionState.TESTING, genome=make.genome(template=agent, members={"tools": []})
    )
    make.bound(agent, tools=[{"match": {"tool": "*"}, "effect": "deny"}])
    assert check(bare).passed


def test_the_page_shows_the_warning_before_the_next_step(version, client):
    make.bound(version.template, tools=[ALLOWED, ASKED, DENIED])
    client.force_login(make.everything(make.user("alice", member_of=version.tenant), version.tenant))
    page = client.get(version.get_absolute_url()).content.decode()
    assert "They deny 1 of its 3 tools in every case." in page
    steps = client.get(f"/api/v1/registry/versions/{version.typeid}/steps/").json()
    (told,) = [
        one
        for step in steps
        if step["to"] == "candidate"
        for one in step["verdicts"]
        if one["gate"] == "policy validates"
    ]
    assert told["warning"] and told["passed"]
