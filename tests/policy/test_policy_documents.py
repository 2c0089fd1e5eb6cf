"""What a policy document may say, and how it is told what is wrong."""

import pytest

from policy.engine import SCHEMA, ContentInvalid, compile_envelope, meet
from tests.policy.engine_cases import call, content, decided, policy


def problems(document):
    with pytest.raises(ContentInvalid) as refusal:
        compile_envelope(document)
    return {problem.pointer: problem.code for problem in refusal.value.problems}


def test_every_wrong_member_is_named_at_once_with_its_pointer():
    assert problems(
        {
            "schema": "arm.policy/v0",
            "tier": 6,
            "tools": [
                {"match": {"tool": "x", "risk": "purple"}, "effect": "maybe"},
                {"effect": "allow"},
                {"match": {}, "effect": "allow"},
                {"match": {"tool": "*"}, "effect": "allow", "conditions": ["args.n > 3"]},
                "all",
            ],
            "network": [{"host": "https://x y"}, {"host": "a.example", "ports": [0]}],
            "paths": [{"path": "../etc", "access": "read"}],
            "commands": [{"argv": ["**", "x"]}, {"argv": []}],
            "limits": [
                {"per": "day", "unit": "money", "max": 1.5, "on_breach": "pause"},
                {"per": "day", "unit": "calls", "max": 5, "currency": "USD", "on_breach": "throttle"},
                {"per": "day", "unit": "tokens", "max": "5", "on_breach": "explode"},
            ],
            "loops": [{"rule": "repeat", "window_s": 0, "max": 3, "on_breach": "deny"}],
            "spawn": {"max_depth": -1},
            "approvals": [{"match": {"risk": "red"}, "quorum": 0, "escalate_after_s": 600}],
            "mode": "dream",
            "moed": "enforce",
        }
    ) == {
        "/schema": "const",
        "/tier": "number",
        "/tools/0/match/risk": "choice",
        "/tools/0/effect": "choice",
        "/tools/1/match": "required",
        "/tools/2/match": "required",
        "/tools/3/conditions": "unsupported",
        "/tools/4": "type",
        "/tools/4/match": "required",
        "/tools/4/effect": "required",
        "/network/0/host": "host",
        "/network/1/ports": "ports",
        "/paths/0/path": "path",
        "/commands/0/argv": "argv",
        "/commands/1/argv": "type",
        "/limits/0/max": "amount",
        "/limits/1/currency": "currency",
        "/limits/2/on_breach": "choice",
        "/loops/0/window_s": "number",
        "/spawn/allowed": "required",
        "/spawn/max_depth": "number",
        "/approvals/0/quorum": "number",
        "/approvals/0/escalate_to": "required",
        "/mode": "choice",
        "/moed": "unknown_member",
    }


@pytest.mark.parametrize("document", [None, [], "tier: 5", 7])
def test_what_is_not_an_object_is_no_policy(document):
    assert problems(document)[""] == "type"


def test_what_has_no_canonical_bytes_is_no_policy():
    with pytest.raises(ContentInvalid) as refusal:
        compile_envelope(content(tools=[{"match": {"tool": "a"}, "effect": "deny", "reason": "\ud800"}]))
    assert [problem.code for problem in refusal.value.problems] == ["canonical"]


def test_two_limits_on_the_same_thing_are_a_mistake():
    limit = {"per": "day", "unit": "calls", "max": 5, "on_breach": "deny"}
    assert problems(content(limits=[limit, limit])) == {"/limits/1": "duplicate"}


def test_the_digest_names_the_bytes_and_not_their_order():
    one = compile_envelope({"schema": SCHEMA, "tier": 1, "tools": []})
    other = compile_envelope({"tools": [], "tier": 1, "schema": SCHEMA})
    assert one.digest == other.digest == one.parts[0].digest
    assert one.digest != compile_envelope({"schema": SCHEMA, "tier": 2, "tools": []}).digest


def test_a_tool_that_no_rule_mentions_is_denied():
    assert decided(call("read_file", {"path": "a"}), policy(tools=[])) == "deny"


def test_deny_wins_over_approve_and_approve_over_allow_whatever_the_order():
    allow, approve, deny = (
        {"match": {"tool": "git_*"}, "effect": effect} for effect in ("allow", "approve", "deny")
    )
    assert decided(call("git_push"), policy(tools=[approve, allow])) == "approve"
    assert decided(call("git_push"), policy(tools=[allow, deny, approve])) == "deny"


@pytest.mark.parametrize(
    ("match", "denied"),
    [
        ({"tool": "send_*"}, ["send_email"]),
        ({"tool": "SEND_EMAIL"}, ["send_email"]),
        ({"class": "messaging"}, ["send_email", "tweet"]),
        ({"risk": "red"}, ["send_email", "tweet", "payment"]),
        ({"class": "payment", "risk": "red"}, ["payment"]),
        ({"class": "payment", "risk": "green"}, []),
        ({"action": "tool_call"}, ["send_email", "tweet", "payment", "web_search"]),
        ({"action": "run_start"}, []),
    ],
    ids=str,
)
def test_a_rule_matches_by_name_class_risk_and_action_together(match, denied):
    anything = {"match": {"tool": "*"}, "effect": "allow"}
    under = policy(tools=[anything, {"match": match, "effect": "deny"}])
    tools = ["send_email", "tweet", "payment", "web_search"]
    assert [tool for tool in tools if decided(call(tool), under) == "deny"] == denied


def test_an_agent_without_any_policy_may_do_nothing():
    assert decided(call("web_search"), meet([])) == "deny"


def test_several_policies_allow_only_what_each_allows():
    ours = policy(tier=5, tools=[{"match": {"tool": "git_*"}, "effect": "allow"}])
    theirs = policy(tier=1, tools=[{"match": {"tool": "*"}, "effect": "allow"}])
    both = meet([ours, theirs])
    assert both.tier == 1
    assert decided(call("git_push"), both) == "approve"
    assert decided(call("web_search"), both) == "deny"


def test_the_smallest_limit_and_the_hardest_consequence_win():
    def limited(most, breach):
        return policy(limits=[{"per": "day", "unit": "calls", "max": most, "on_breach": breach}])

    both = meet([limited(10, "throttle"), limited(50, "quarantine")])
    (limit,) = both.limits.values()
    assert (limit.most, limit.breach) == (10, "quarantine")


def test_only_when_every_policy_merely_observes_is_nothing_blocked():
    observe, enforce = policy(mode="observe"), policy(mode="enforce", tier=4)
    assert meet([observe]).observe and not meet([observe, enforce]).observe
