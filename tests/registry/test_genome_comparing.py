"""Two genomes differ where their digests do, field by field and in words."""

import pytest
from hypothesis import given

from registry.genome import diff, seal, summary
from tests.registry.genomes import example, genomes, json_values, model, prompt, tool


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


def one_change(before, after):
    (change,) = diff(example(x_a=before), example(x_a=after))
    return change.pointer, change.words


@pytest.mark.parametrize("length", [0, 41, 79, 80, 500])
def test_the_words_show_where_two_long_texts_begin_to_differ(length):
    _, said = one_change("a" * length + "old" + "z" * 200, "a" * length + "new" + "z" * 200)
    before, after = said.removeprefix("x_a: ").split(" → ")
    assert ("old" in before, "new" in after) == (True, True) and max(len(before), len(after)) <= 80


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("sha256:" + "0" * 64, "sha256:" + "0" * 63 + "1", "…" + "0" * 21 + " → …" + "0" * 20 + "1"),
        ("b" * 100, "b" * 101, "…" + "b" * 20 + " → …" + "b" * 21),
        (True, "yes", 'true → "yes"'),
        ("1", 1, '"1" → 1'),
        ([None], ["nothing"], '[null] → ["nothing"]'),
        (["a", "b"], ["a, b"], '["a", "b"] → ["a, b"]'),
        (["a", True], ["a", False], "a, yes → a, no"),
    ],
)
def test_two_values_that_differ_never_read_the_same(before, after, said):
    assert one_change(before, after)[1] == f"x_a: {said}"


@given(json_values, json_values)
def test_no_two_different_values_read_the_same(before, after):
    for change in diff(example(x_a=before), example(x_a=after)):
        if change.kind == "changed" and "more entr" not in change.words:
            was, _, now = change.words.partition(": ")[2].partition(" → ")
            assert was != now or " → " in was


def test_lists_of_objects_are_compared_entry_by_entry():
    assert one_change([{"n": 0, "m": 1}], [{"n": False, "m": 1}]) == ("/x_a/0/n", "x_a, entry 1, N: 0 → no")
    assert one_change([{"n": 1}, {"n": 2}], [{"n": 3}, {"n": 1}, {"n": 2}]) == (
        "/x_a/0",
        "x_a, entry 1 added: n 3",
    )
    assert one_change([{"n": 1}, {"n": 2}], [{"n": 1}]) == ("/x_a/1", "x_a, entry 2 removed: n 2")
    assert one_change([[1], [2, [3]]], [[1], [2, [4]]]) == ("/x_a/1/1", "x_a, entry 2, entry 2: 3 → 4")
    assert one_change([{}], [{"n": [{}]}]) == ("/x_a/0/n", "x_a, entry 1, N added: 1 entry")


def test_of_a_long_list_the_first_entries_are_named_and_the_others_counted():
    older, newer = ([{"n": n + more} for n in range(50)] for more in (0, 100))
    found = diff(example(x_a=older), example(x_a=newer))
    assert len(found) == 21
    assert (found[-1].pointer, found[-1].words) == ("/x_a", "x_a: 30 more entries differ")


def test_of_an_object_that_was_added_the_words_say_that_there_is_more():
    (change,) = diff(example(), example(x_a={name: 1 for name in "abcde"}))
    assert change.words == "x_a added: a 1, b 1, c 1, d 1, …"


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
