"""What each autonomy tier means for each risk class, and who may tighten it."""

import pytest

from policy.engine import TierOverlay
from tests.policy.engine_cases import ask, call, codes, decided, policy

GREEN, YELLOW, RED = call("web_search"), call("git_commit"), call("tweet")
LISTED = [{"match": {"tool": "*"}, "effect": "allow"}, {"match": {"tool": "tweet"}, "effect": "allow"}]


@pytest.mark.parametrize(
    ("tier", "green", "yellow", "red"),
    [
        (0, "approve", "approve", "deny"),
        (1, "allow", "approve", "approve"),
        (2, "allow", "allow", "approve"),
        (3, "allow", "allow", "approve"),
        (4, "allow", "allow", "allow"),
        (5, "allow", "allow", "allow"),
    ],
)
def test_a_tier_means_the_same_everywhere(tier, green, yellow, red):
    under = policy(tier=tier)
    assert [decided(request, under) for request in (GREEN, YELLOW, RED)] == [green, yellow, red]


def test_tier_three_allows_a_red_tool_that_a_rule_names_in_full():
    assert decided(RED, policy(tier=3, tools=LISTED)) == "allow"


@pytest.mark.parametrize("tier", [0, 1, 2])
def test_naming_a_red_tool_does_not_help_below_tier_three(tier):
    assert decided(RED, policy(tier=tier, tools=LISTED)) != "allow"


def test_tier_four_allows_red_and_asks_for_a_review_afterwards():
    assert "review_after" in ask(RED, policy(tier=4)).obligations
    assert "review_after" not in ask(RED, policy(tier=5)).obligations


def test_a_tenants_ceiling_lowers_the_tier_of_the_tools_it_names():
    under = policy(tier=5).under([TierOverlay("tw*", 1)])
    assert decided(RED, under) == "approve"
    assert decided(call("send_email"), under) == "allow"


def test_a_tenants_ceiling_above_the_tier_lifts_nothing():
    assert decided(RED, policy(tier=2).under([TierOverlay("*", 5)])) == "approve"


def test_no_tier_lifts_a_deny_rule():
    tools = [*LISTED, {"match": {"tool": "tweet"}, "effect": "deny", "reason": "Press office only."}]
    verdict = ask(RED, policy(tier=5, tools=tools))
    assert verdict.decision.word == "deny"
    assert [reason.sentence for reason in verdict.reasons] == ["Press office only."]


def test_the_answer_says_which_tier_asked():
    verdict = ask(RED, policy(tier=2))
    assert codes(verdict) == ["tier_approve"]
    assert (
        verdict.reasons[0].sentence == "“tweet” is a red tool; at tier 2 (supervised) it needs an approval."
    )
