"""The order of a live decision, one step after the other, and what unknown means in each."""

from decimal import Decimal

import pytest

from policy.engine import (
    Access,
    Action,
    Approval,
    Count,
    DataUse,
    Effect,
    Estimate,
    Facts,
    LimitKey,
    Loop,
    LoopKey,
    Mode,
    Per,
    Request,
    SpawnFacts,
    SpawnRequest,
    Unit,
    action_digest,
    evaluate,
)
from tests.policy.engine_cases import NOW, ask, call, codes, decided, policy, standing, stop

START = Request(Action.RUN_START, job="job-7")


def test_posture_is_named_before_state_before_version_before_the_request_before_the_rules():
    asked = call("tweet", {"url": "https://evil.net"})
    nothing = policy(tools=[])
    known = {
        "postures": [stop(Mode.PAUSED)],
        "state": "quarantined",
        "version": "retired",
        "outcome_required": True,
    }
    seen = []
    for cleared in ({"postures": []}, {"state": "active"}, {"version": "approved"}, None):
        seen += codes(ask(Request(asked.action, asked.tool, asked.args), nothing, on=standing(**known)))
        known |= cleared or {}
    seen += codes(ask(asked, nothing, on=standing(**known)))
    assert seen == [
        "posture_paused",
        "instance_quarantined",
        "version_retired",
        "outcome_required",
        "no_rule",
    ]


@pytest.mark.parametrize(
    ("on", "as_of"), [(None, NOW), (standing(), NOW - 5.01), (standing(), NOW + 60), (standing(), 0.0)]
)
def test_what_is_not_known_now_allows_nothing(on, as_of):
    verdict = evaluate(policy(), call("think"), Facts(now=NOW, as_of=as_of, standing=on))
    assert (verdict.decision, codes(verdict)) == (Effect.DENY, ["facts_stale"])


def test_five_seconds_are_still_now():
    verdict = evaluate(policy(), call("think"), Facts(now=NOW, as_of=NOW - 5.0, standing=standing()))
    assert verdict.decision == Effect.ALLOW


@pytest.mark.parametrize(
    ("version", "unapproved", "start"),
    [
        ("approved", False, "allow"),
        ("deprecated", False, "allow"),
        ("draft", True, "deny"),
        ("testing", True, "allow"),
        ("candidate", False, "deny"),
        ("candidate", True, "allow"),
        ("retired", True, "deny"),
        ("", True, "deny"),
    ],
)
def test_an_unapproved_version_runs_only_where_the_environment_allows_it(version, unapproved, start):
    assert decided(START, on=standing(version=version, unapproved_versions=unapproved)) == start


@pytest.mark.parametrize(
    ("certification", "answer"),
    [("not_required", "allow"), ("valid", "allow"), ("expired", "deny"), ("missing", "deny"), ("", "deny")],
)
def test_no_tier_lifts_an_expired_certification(certification, answer):
    assert decided(START, on=standing(certification=certification)) == answer


def test_a_slot_that_was_rebound_lets_runs_finish_and_none_start():
    left = standing(slot="rebound")
    assert codes(ask(START, on=left)) == ["slot_rebound"]
    assert decided(call("tweet"), on=left) == "allow"


def test_a_request_serves_a_job_or_an_outcome_unless_the_tenant_only_warns():
    bare = Request(Action.TOOL_CALL, "think")
    assert codes(ask(bare)) == ["outcome_required"]
    assert decided(Request(Action.TOOL_CALL, "think", outcome="out-1")) == "allow"
    assert decided(bare, on=standing(outcome_required=False)) == "allow"


@pytest.mark.parametrize("tool", ["", " ", "a" * 129, "rm -rf /;", "tool\n"])
def test_a_tool_call_names_a_tool(tool):
    assert codes(ask(call(tool))) == ["tool_invalid"]


def test_runs_and_model_calls_need_no_rule_but_a_rule_may_stop_them():
    none = policy(tools=[])
    stopped = policy(tools=[{"match": {"action": "model_call"}, "effect": "deny"}])
    model_call = Request(Action.MODEL_CALL, job="job-7")
    assert decided(START, none) == decided(model_call, none) == "allow"
    assert decided(START, stopped) == "allow"
    assert decided(model_call, stopped) == "deny"


def test_data_is_used_only_as_listed():
    under = policy(data=[{"class": "pii", "access": "read"}])
    reading, writing = (DataUse("pii", access) for access in (Access.READ, Access.WRITE))
    assert decided(call("think", data=(reading,)), under) == "allow"
    assert codes(ask(call("think", data=(reading, writing)), under)) == ["data_denied"]


PER_DAY = LimitKey(Per.DAY, Unit.CALLS)


def limited(breach, most=10, per="day", unit="calls"):
    return policy(limits=[{"per": per, "unit": unit, "max": most, "on_breach": breach}])


@pytest.mark.parametrize(
    ("breach", "answer", "restricts"),
    [
        ("approve", "approve", None),
        ("throttle", "deny", None),
        ("deny", "deny", None),
        ("read_only", "deny", "read_only"),
        ("pause", "deny", "pause"),
        ("quarantine", "deny", "quarantine"),
    ],
)
def test_a_limit_that_is_used_up_does_what_it_says(breach, answer, restricts):
    verdict = ask(call("think"), limited(breach), limits={PER_DAY: Count(Decimal(0), NOW)})
    assert (verdict.decision.word, verdict.restrict) == (answer, restricts)
    assert verdict.retry_after_s == (60 if breach == "throttle" else None)
    assert codes(verdict) == ["limit_reached"]


@pytest.mark.parametrize(("breach", "answer"), [("approve", "approve"), ("quarantine", "deny")])
@pytest.mark.parametrize("known", [{}, {PER_DAY: Count(Decimal(9), NOW - 6)}])
def test_a_limit_that_is_unknown_asks_or_denies_but_restricts_nobody(breach, answer, known):
    verdict = ask(call("think"), limited(breach), limits=known)
    assert (verdict.decision.word, verdict.restrict, codes(verdict)) == (answer, None, ["limit_unknown"])


def test_what_is_left_of_a_limit_must_cover_the_call():
    left = {LimitKey(Per.RUN, Unit.TOKENS): Count(Decimal(500), NOW)}
    under = limited("deny", 1000, "run", "tokens")
    assert decided(call("think", estimate=Estimate(tokens=500)), under, limits=left) == "allow"
    assert decided(call("think", estimate=Estimate(tokens=501)), under, limits=left) == "deny"


def test_a_limit_per_call_needs_an_estimate_in_its_currency():
    under = limited("deny", "0.50", "call", "money")
    assert decided(call("think", estimate=Estimate(money=Decimal("0.50"))), under) == "allow"
    assert decided(call("think", estimate=Estimate(money=Decimal("0.51"))), under) == "deny"
    assert codes(ask(call("think"), under)) == ["estimate_required"]
    euros = Estimate(money=Decimal("0.01"), currency="EUR")
    assert codes(ask(call("think", estimate=euros), under)) == ["estimate_required"]


def test_a_used_up_cap_stops_new_runs_too():
    assert decided(START, limited("deny"), limits={PER_DAY: Count(Decimal(0), NOW)}) == "deny"
    assert decided(START, limited("deny"), limits={PER_DAY: Count(Decimal(1), NOW)}) == "allow"


@pytest.mark.parametrize("rule", list(Loop))
def test_a_loop_is_broken_after_its_maximum(rule):
    under = policy(loops=[{"rule": rule, "window_s": 60, "max": 3, "on_breach": "pause"}])
    key = LoopKey(rule, 60)
    assert decided(call("think"), under, loops={key: Count(3, NOW)}) == "allow"
    verdict = ask(call("think"), under, loops={key: Count(4, NOW)})
    assert (codes(verdict), verdict.restrict) == ([f"loop_{rule}"], "pause")
    assert codes(ask(call("think"), under)) == ["loop_unknown"]


def test_a_given_approval_allows_exactly_the_action_it_names_once():
    asked, altered = call("payment", {"amount": "10.00"}), call("payment", {"amount": "99.00"})
    under = policy(tier=2)
    given = Approval("apr_1", action_digest("ins_1", asked), NOW + 60)
    assert decided(asked, under) == "approve"
    verdict = ask(asked, under, approval=given)
    assert (verdict.decision, verdict.approval, codes(verdict)) == (Effect.ALLOW, "apr_1", ["approved"])
    assert decided(altered, under, approval=given) == "approve"
    assert decided(asked, under, approval=Approval("apr_1", given.digest, NOW)) == "approve"
    assert decided(asked, under, approval=Approval("apr_1", given.digest, NOW + 60, True)) == "approve"
    assert decided(asked, under, approval=given, on=standing(instance="ins_2")) == "approve"


def test_an_approval_lifts_no_denial():
    asked = call("payment")
    given = Approval("apr_1", action_digest("ins_1", asked), NOW + 60)
    never = policy(tools=[{"match": {"tool": "payment"}, "effect": "deny"}])
    assert decided(asked, never, approval=given) == "deny"
    assert decided(asked, policy(tier=2), approval=given, on=standing(state="paused")) == "deny"
    assert decided(asked, policy(tier=0), approval=given) == "deny"


def test_the_strictest_terms_of_all_matching_rules_hold():
    rules = [
        {"match": {"risk": "red"}, "roles": ["approver"], "quorum": 2, "ttl_s": 7200},
        {
            "match": {"tool": "payment"},
            "roles": ["finops"],
            "ttl_s": 600,
            "escalate_after_s": 300,
            "escalate_to": "tenant_admin",
        },
        {"match": {"tool": "tweet"}, "quorum": 5},
    ]
    terms = ask(call("payment"), policy(tier=2, approvals=rules)).terms
    assert (terms.roles, terms.quorum, terms.ttl_s) == ({"approver", "finops"}, 2, 600)
    assert (terms.escalate_after_s, terms.escalate_to) == (300, "tenant_admin")


@pytest.mark.parametrize(
    ("spawn", "asked", "known", "code"),
    [
        ({"allowed": False}, SpawnRequest(depth=1), None, "spawn_denied"),
        ({"allowed": True}, None, None, "spawn_unknown"),
        ({"allowed": True, "max_depth": 1}, SpawnRequest(depth=2), None, "spawn_depth"),
        ({"allowed": True, "max_ttl_s": 60}, SpawnRequest(depth=1), None, "spawn_ttl"),
        ({"allowed": True, "roles": ["a"]}, SpawnRequest(depth=1, role="b"), None, "spawn_role"),
        ({"allowed": True, "max_children": 2}, SpawnRequest(depth=1), None, "spawn_unknown"),
        ({"allowed": True, "max_children": 2}, SpawnRequest(depth=1), (2, 0, NOW), "spawn_children"),
        ({"allowed": True, "max_children": 2}, SpawnRequest(depth=1), (1, 0, NOW - 9), "spawn_unknown"),
        ({"allowed": True, "max_per_hour": 2}, SpawnRequest(depth=1), (1, 2, NOW), "spawn_rate"),
        ({"allowed": True, "max_per_hour": 2}, SpawnRequest(depth=1), (1, 1, NOW), "rule_allow"),
    ],
)
def test_starting_other_agents_is_bounded(spawn, asked, known, code):
    facts = SpawnFacts(*known) if known else None
    assert codes(ask(call("spawn_agent", spawn=asked), policy(spawn=spawn), spawn=facts)) == [code]


def test_below_tier_three_nobody_starts_other_agents():
    asked = call("spawn_agent", spawn=SpawnRequest(depth=1))
    assert codes(ask(asked, policy(tier=2, spawn={"allowed": True}))) == ["spawn_denied"]


def test_observing_answers_allow_and_says_what_would_have_happened():
    watched = policy(mode="observe", tier=2)
    verdict = ask(call("tweet"), watched)
    assert (verdict.decision, verdict.would) == (Effect.ALLOW, Effect.APPROVE)
    assert codes(verdict) == ["tier_approve"]


def test_observing_still_stops_who_is_stopped():
    watched = policy(mode="observe")
    assert decided(call("think"), watched, on=standing(postures=[stop(Mode.PAUSED)])) == "deny"
