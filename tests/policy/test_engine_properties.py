"""What holds for every policy, every request and every set of facts."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.engine import (
    CATALOGUE,
    Action,
    Breach,
    Catalogue,
    Count,
    Envelope,
    Facts,
    Loop,
    LoopKey,
    Mode,
    Per,
    Request,
    Unit,
    compile_envelope,
    evaluate,
    meet,
)
from policy.engine import posture as postures
from policy.engine.terms import LimitKey
from policy.engine.tiers import TierOverlay
from tests.policy.engine_cases import NOW, content, standing, stop

TOOLS = ["web_search", "git_push", "tweet", "bash", "web_fetch", "read_file", "frobnicate"]
effects = st.sampled_from(["allow", "approve", "deny"])
matches = st.one_of(
    st.fixed_dictionaries({"tool": st.sampled_from([*TOOLS, "*", "git_*", "*e*"])}),
    st.fixed_dictionaries({"risk": st.sampled_from(["green", "yellow", "red"])}),
    st.fixed_dictionaries({"class": st.sampled_from(["messaging", "network", "file"])}),
    st.fixed_dictionaries({"action": st.sampled_from(["tool_call", "run_start", "model_call"])}),
)
rules = st.lists(st.fixed_dictionaries({"match": matches, "effect": effects}), max_size=6)
hosts = st.lists(st.sampled_from(["*", "a.example", "*.example"]), max_size=2, unique=True)
limits = st.lists(
    st.fixed_dictionaries(
        {
            "per": st.just("day"),
            "unit": st.sampled_from(["calls", "tokens"]),
            "max": st.integers(0, 5),
            "on_breach": st.sampled_from(list(Breach)),
        }
    ),
    max_size=2,
    unique_by=lambda limit: limit["unit"],
)
loops = st.lists(
    st.fixed_dictionaries(
        {
            "rule": st.sampled_from(list(Loop)),
            "window_s": st.just(60),
            "max": st.integers(1, 5),
            "on_breach": st.sampled_from(list(Breach)),
        }
    ),
    max_size=2,
    unique_by=lambda loop: loop["rule"],
)
documents = st.builds(
    lambda tier, tools, network, limits, loops: content(
        tier=tier,
        tools=[{"match": {"tool": "*"}, "effect": "allow"}, *tools],
        network=[{"host": host} for host in network],
        limits=limits,
        loops=loops,
    ),
    st.integers(0, 5),
    rules,
    hosts,
    limits,
    loops,
)
envelopes = documents.map(compile_envelope)
arguments = st.sampled_from(
    [{}, {"url": "https://a.example"}, {"path": "a/b"}, {"command": "rm -rf x"}, {"api_key": "abcdef123"}]
)
requests = st.builds(
    lambda action, tool, args: Request(action, tool if action == Action.TOOL_CALL else "", args, job="j"),
    st.sampled_from(list(Action)),
    st.sampled_from(TOOLS),
    arguments,
)
counts = st.builds(Count, st.integers(-1, 6).map(Decimal), st.sampled_from([NOW, NOW - 60]))
stops = st.lists(st.sampled_from(list(Mode)), max_size=3)
facts = st.builds(
    lambda modes, production, calls, loop: Facts(
        now=NOW,
        as_of=NOW,
        standing=standing(
            postures=[stop(mode) for mode in modes], catalogue=Catalogue(production=production)
        ),
        limits={LimitKey(Per.DAY, Unit.CALLS): calls, LimitKey(Per.DAY, Unit.TOKENS): calls},
        loops={LoopKey(rule, 60): loop for rule in Loop},
    ),
    st.one_of(st.just([]), stops),
    st.booleans(),
    counts,
    counts,
)


@given(st.lists(envelopes, min_size=1, max_size=4), requests, facts)
@settings(max_examples=300)
def test_adding_a_policy_never_makes_the_answer_more_permissive(parts, request, known):
    alone = [evaluate(part, request, known).decision for part in parts]
    assert evaluate(meet(parts), request, known).decision >= max(alone)


@given(envelopes, st.sampled_from(list(Mode)), requests, facts)
@settings(max_examples=200)
def test_adding_a_posture_never_makes_the_answer_more_permissive(envelope, mode, request, known):
    before = known.standing
    more = standing(postures=[*before.postures, stop(mode)], catalogue=before.catalogue)
    after = Facts(now=NOW, as_of=NOW, standing=more, limits=known.limits, loops=known.loops)
    assert evaluate(envelope, request, after).decision >= evaluate(envelope, request, known).decision


@given(envelopes, st.sampled_from(TOOLS), st.integers(0, 5), requests, facts)
@settings(max_examples=200)
def test_a_ceiling_never_makes_the_answer_more_permissive(envelope, tool, ceiling, request, known):
    tightened = envelope.under([TierOverlay(tool, ceiling)])
    assert evaluate(tightened, request, known).decision >= evaluate(envelope, request, known).decision


@given(
    documents,
    st.fixed_dictionaries({"match": matches, "effect": st.sampled_from(["approve", "deny"])}),
    requests,
    facts,
)
@settings(max_examples=200)
def test_adding_a_rule_that_asks_or_denies_never_allows_more(document, rule, request, known):
    more = compile_envelope({**document, "tools": [*document["tools"], rule]})
    before = evaluate(compile_envelope(document), request, known).decision
    assert evaluate(more, request, known).decision >= before


@given(envelopes, envelopes, envelopes)
def test_meet_is_commutative_associative_and_idempotent(a, b, c):
    assert meet([a, b]) == meet([b, a])
    assert meet([meet([a, b]), c]) == meet([a, meet([b, c])])
    assert meet([a, a]) == a


@given(envelopes, requests, facts, st.sampled_from(["standing", "limits", "loops"]))
@settings(max_examples=200)
def test_forgetting_a_fact_never_allows_more(envelope, request, known, forgotten):
    kept = {"standing": known.standing, "limits": known.limits, "loops": known.loops}
    kept[forgotten] = None if forgotten == "standing" else {}
    less = evaluate(envelope, request, Facts(now=NOW, as_of=NOW, **kept))
    assert less.decision >= evaluate(envelope, request, known).decision


@given(envelopes, requests, facts)
@settings(max_examples=100)
def test_the_same_question_gets_the_same_verdict_with_the_same_digest(envelope, request, known):
    again = Envelope(envelope.parts)
    assert evaluate(envelope, request, known).digest == evaluate(again, request, known).digest


@given(stops, stops)
def test_postures_meet_per_column(some, others):
    both = postures.meet([*some, *others])
    assert both == postures.meet(some) & postures.meet(others)
    assert postures.is_restriction(postures.meet(some), both)


@given(st.sampled_from(sorted(CATALOGUE)), st.booleans())
def test_a_known_tool_has_the_same_class_everywhere(name, production):
    assert Catalogue(production=production).tool(name).risk == CATALOGUE[name].risk
