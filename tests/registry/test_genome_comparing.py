"""Two genomes differ where their digests do, field by field and in words."""

from hypothesis import given

from registry.genome import diff, seal, summary
from tests.registry.genomes import example, genomes, model, prompt, tool


def words(before, after):
    return {change.pointer: (change.kind, change.words) for change in diff(before, after)}


def test_each_changed_field_is_named_in_words():
    before = example(tools=[tool("search"), tool("read")])
    after = example(
        tools=[tool("search", risk="RED"), tool("write")],
        models=[model(revision="2026-01-10", parameters={"temperature": 0.7}), model("fallback", order=1)],
        limits=None,
        memory={"kind": "vector"},
    )
    assert words(before, after) == {
        "/models/1/revision": ("changed", "Primary model, Revision: 2025-04-14 → 2026-01-10"),
        "/models/1/parameters/temperature": ("changed", "Primary model, Parameters, Temperature: 0.2 → 0.7"),
        "/models/0/name": ("changed", "Fallback model 1, Name: gpt-4.1-mini → gpt-4.1"),
        "/models/0/conditions": ("removed", "Fallback model 1, Conditions removed: error, timeout"),
        "/tools/0/risk": ("changed", "Tool search, Risk: GREEN → RED"),
        "/tools/0": ("removed", "Tool read removed"),
        "/tools/1": ("added", "Tool write added"),
        "/memory": ("added", "Memory added: kind vector"),
        "/limits": ("removed", "Limits removed: max_turns 20, budget amount 2.50, currency EUR, per run"),
    }


def test_a_changed_prompt_and_a_changed_guardrail_are_found():
    before = example(behavior={"guardrails": ["a", "b"]})
    after = example(behavior={"guardrails": ["b", "c"]}, prompts=[prompt(text="Another text.")])
    said = words(before, after)
    assert said["/behavior/guardrails/0"] == ("removed", "Behavior, Guardrails “a” removed")
    assert said["/behavior/guardrails/1"] == ("added", "Behavior, Guardrails “c” added")
    assert said["/prompts/0/digest"][1].startswith("System prompt, Digest: sha256:")


def test_order_and_build_time_are_no_difference():
    before = example(tools=[tool("a"), tool("b")])
    after = example(tools=[tool("b"), tool("a")])
    after["provenance"]["built_at"] = "2027-01-01T00:00:00Z"
    assert diff(before, after) == []


@given(genomes(), genomes())
def test_there_is_a_difference_exactly_when_the_digests_differ(one, other):
    assert (diff(one, other) == []) is (seal(one).digest == seal(other).digest)
    assert diff(one, one) == []


@given(genomes(), genomes())
def test_a_difference_read_backwards_names_the_same_number_of_fields(one, other):
    assert len(diff(one, other)) == len(diff(other, one))


def test_a_summary_says_what_a_page_needs():
    held = summary(example(models=[model("fallback", revision="latest", order=1), model()]))
    assert held.primary.label == "openai gpt-4.1 (2025-04-14)"
    assert [(m.role, m.floating) for m in held.models] == [("primary", False), ("fallback", True)]
    assert held.tools == {"GREEN": 1, "YELLOW": 0, "RED": 1}
    assert (held.tool_count, held.servers) == (2, ("com.example/docs",))
    assert held.prompts == ("system",)
    assert held.autonomy_tier_max == 2
    assert held.source == "https://git.example.com/agents/invoices @ 4be1f9c2d3"
    assert [name for name, present in held.profiles.items() if present] == ["behavior", "limits"]


def test_a_summary_of_nearly_nothing_says_so():
    held = summary({"schema": "arm.genome/v1"})
    assert (held.primary, held.tools, held.tool_count, held.source) == (None, None, 0, "")
