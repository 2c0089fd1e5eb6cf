"""What passes and what does not: every scorer against answers that are right, wrong, and wrong in a clever way."""

import itertools
import sys
import time

import pytest

from evaluation.scoring import OutOfTime, Severity, documents, score
from evaluation.scoring.scorers import problems
from evaluation.scoring.watch import within

NESTED = 1
for _ in range(18):
    NESTED = [NESTED]


def judged(scorer, answer, **settings):
    whole = {"scorer": scorer, "field": "/output", **settings}
    assert problems(whole, "") == []
    return score(whole, answer).passed


@pytest.mark.parametrize(
    ("scorer", "settings", "passes", "fails"),
    [
        ("exact", {"value": "yes"}, ["yes"], ["Yes", "yes ", "", None, True, ["yes"]]),
        ("exact", {"value": "yes", "ignore_case": True}, ["YES", "yes"], ["yess", 1]),
        ("exact", {"value": 1}, [1, 1.0], [True, "1", [1], 2]),
        ("exact", {"value": {"a": [1, {"b": None}]}}, [{"a": [1, {"b": None}]}], [{"a": [1, {}]}, {"a": [1], "c": 2}]),
        ("exact", {"value": None}, [None], [False, 0, "", []]),
        ("exact", {"value": False}, [False], [0, None]),
        ("contains", {"text": "refund"}, ["a refund."], ["a Refund.", "", 5, ["refund"], {"refund": 1}]),
        ("contains", {"text": "REFUND", "ignore_case": True}, ["a refund."], ["a re-fund."]),
        ("contains", {"text": "secret", "negate": True}, ["nothing here", ""], ["the secret", None, 5]),
        ("regex", {"pattern": r"^INV-\d{4}$"}, ["INV-2024"], ["x INV-2024", "INV-20245", 2024]),
        ("regex", {"pattern": r"\d", "negate": True}, ["none"], ["4", 4]),
        (
            "json_schema",
            {"schema": {"type": "object", "required": ["sum"], "properties": {"sum": {"type": "number", "minimum": 0}}}},
            [{"sum": 3}],
            [{}, {"sum": "3"}, {"sum": -1}, "sum", {"sum": True}],
        ),
        ("json_schema", {"schema": {"type": "string", "pattern": "^a+$"}}, ["aaa"], ["ab"]),
        ("json_schema", {"schema": {"uniqueItems": True}}, [[1, 2, True], [{"a": 1}, {"a": 2}]], [[1, 1.0], [{}, {}]]),
        (
            "json_schema",
            {"schema": {"$ref": "#/$defs/x", "$defs": {"x": {"items": {"$ref": "#/$defs/y"}}, "y": {"type": "null"}}}},
            [[None]],
            [[1]],
        ),
        ("json_schema", {"schema": {"enum": ["a", 1, None, [1]]}}, ["a", 1.0, None, [1.0]], ["b", True, "1", [True], []]),
        ("json_schema", {"schema": False, "negate": True}, ["anything", None], []),
        ("json_path", {"path": "$[*].price"}, [[{"price": 1}]], [[{}], [], "price"]),
        ("json_path", {"path": "$.sum", "compare": "equals", "value": 3}, [{"sum": 3.0}], [{"sum": "3"}, {}]),
        ("json_path", {"path": "$..id", "compare": "some", "value": 7}, [{"a": [{"id": 7}, {"id": 8}]}], [{"id": 6}]),
        ("json_path", {"path": "$[*].ok", "compare": "every", "value": True}, [[{"ok": True}]], [[{"ok": 1}], []]),
        ("json_path", {"path": "$[?@.p > 2]", "compare": "count", "value": 1}, [[{"p": 3}, {"p": 1}]], [[{"p": 1}]]),
        ("json_path", {"path": "$.n", "compare": "at_least", "value": 2}, [{"n": 2}], [{"n": 1}, {"n": "9"}, {}, {"n": True}]),
        ("json_path", {"path": "$.n", "compare": "at_most", "value": 2, "negate": True}, [{"n": 3}], [{"n": 2}, {}]),
    ],
)  # fmt: skip
def test_a_scorer_passes_exactly_what_it_says(scorer, settings, passes, fails):
    for value in passes:
        assert judged(scorer, {"output": value}, **settings), value
    for value in fails:
        assert not judged(scorer, {"output": value}, **settings), value


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize(
    ("scorer", "settings"),
    [
        ("exact", {"value": None}),
        ("contains", {"text": "x"}),
        ("regex", {"pattern": "x"}),
        ("json_schema", {"schema": True}),
        ("json_path", {"path": "$", "compare": "count", "value": 0}),
    ],
)
def test_a_field_that_is_not_there_never_passes_negated_or_not(scorer, settings, negate):
    assert not judged(scorer, {"other": "x"}, **settings, negate=negate)


def test_the_right_text_in_another_field_does_not_pass():
    echo = {"input": "Say refund", "output": {"text": "No."}, "log": ["refund"]}
    assert not judged("contains", echo, field="/output/text", text="refund")
    assert judged("contains", echo, field="/input", text="refund")


@pytest.mark.parametrize(
    ("pointer", "there"),
    [
        ("/a~1b/0", True),
        ("/m~0n", True),
        ("", True),
        ("/list/1", True),
        ("/list/01", False),
        ("/list/-", False),
        ("/list/2", False),
        ("/list/-1", False),
        ("/list/x", False),
        ("/text/0", False),
        ("/", False),
    ],
)
def test_a_field_is_found_by_its_pointer_and_by_nothing_else(pointer, there):
    answer = {"a/b": [1], "m~n": 2, "list": [1, 2], "text": "abc"}
    assert judged("json_schema", answer, field=pointer, schema=True) is there


@pytest.mark.parametrize(
    ("settings", "pointers"),
    [
        ({}, {"/scorer"}),
        ("x", {""}),
        ({"scorer": ["exact"]}, {"/scorer"}),
        ({"scorer": "llm", "field": ""}, {"/scorer"}),
        ({"scorer": "exact"}, {"/field", "/value"}),
        ({"scorer": "exact", "field": "output", "value": 1}, {"/field"}),
        ({"scorer": "exact", "field": "/a~2", "value": 1}, {"/field"}),
        ({"scorer": "exact", "field": "", "value": 1, "negate": "no", "extra": 1}, {"/negate", "/extra"}),
        ({"scorer": "contains", "field": "", "text": ""}, {"/text"}),
        ({"scorer": "regex", "field": "", "pattern": "(a"}, {"/pattern"}),
        ({"scorer": "regex", "field": "", "pattern": r"(a)\1"}, {"/pattern"}),
        ({"scorer": "json_path", "field": "", "path": "items["}, {"/path"}),
        ({"scorer": "json_path", "field": "", "path": "$[?search(@.a, '(a+)+$')]"}, {"/path"}),
        ({"scorer": "json_path", "field": "", "path": "$..*..*"}, {"/path"}),
        ({"scorer": "json_path", "field": "", "path": "$" + "[*,*,*,*]" * 18 + ".nope"}, {"/path"}),
        ({"scorer": "json_path", "field": "", "path": "$[0,0,0,0][0,0,0]"}, {"/path"}),
        ({"scorer": "json_path", "field": "", "path": "$[?@[*,*][*,*][*,*][*,*][*,*]]"}, {"/path"}),
        ({"scorer": "json_path", "field": "", "path": "$[',',\"'\"][*,*,*,*,'\\',']"}, {"/path"}),
        ({"scorer": "json_path", "field": "", "path": "$['a','b,c,d,e,f'][?@.x == ',,,,,,']"}, set()),
        ({"scorer": "json_schema", "field": "", "schema": {"contains": {"enum": [f"x{n}" for n in range(60_000)]}}}, {"/schema"}),
        ({"scorer": "json_schema", "field": "", "schema": {"required": [f"x{n}" for n in range(2_000)]}}, {"/schema"}),
        ({"scorer": "json_path", "field": "", "path": "$.a", "compare": ["x"]}, {"/compare"}),
        ({"scorer": "json_path", "field": "", "path": "$.a", "compare": "equals"}, {"/value"}),
        ({"scorer": "json_path", "field": "", "path": "$.a", "value": 1}, {"/value"}),
        ({"scorer": "json_path", "field": "", "path": "$.a", "compare": "count", "value": True}, {"/value"}),
        ({"scorer": "json_schema", "field": "", "schema": 5}, {"/schema"}),
        ({"scorer": "json_schema", "field": "", "schema": {"type": "text"}}, {"/schema/type"}),
        ({"scorer": "json_schema", "field": "", "schema": {"items": {"requird": []}}}, {"/schema/items/requird"}),
        ({"scorer": "json_schema", "field": "", "schema": {"format": "email"}}, {"/schema/format"}),
        ({"scorer": "json_schema", "field": "", "schema": {"pattern": "(a"}}, {"/schema/pattern"}),
        ({"scorer": "json_schema", "field": "", "schema": {"$ref": "http://127.0.0.1/x"}}, {"/schema/$ref"}),
        ({"scorer": "json_schema", "field": "", "schema": {"$ref": "#/$defs/none"}}, {"/schema"}),
        (
            {"scorer": "json_schema", "field": "", "schema": {"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}},
            {"/schema"},
        ),
        (
            {"scorer": "json_schema", "field": "", "schema": {"patternProperties": {"(a+)+$": {}}}},
            {"/schema/patternProperties"},
        ),
    ],
)  # fmt: skip
def test_a_scorer_that_could_not_do_its_work_is_refused_with_its_pointer(settings, pointers):
    assert {problem["pointer"] for problem in problems(settings, "")} == pointers


def test_a_schema_that_doubles_with_every_reference_is_refused():
    names = [f"d{n}" for n in range(40)]
    defined = {a: {"allOf": [{"$ref": f"#/$defs/{b}"}] * 2} for a, b in itertools.pairwise(names)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**defined, names[-1]: {}}}
    (problem,) = problems({"scorer": "json_schema", "field": "", "schema": schema}, "")
    assert problem["code"] == "too_large"


@pytest.mark.parametrize(
    ("scorer", "settings", "answer"),
    [
        ("regex", {"pattern": r"^(a+)+$"}, "a" * 50_000 + "!"),
        ("json_schema", {"schema": {"pattern": r"^(a+)+$"}}, "a" * 50_000 + "!"),
        ("json_schema", {"schema": {"uniqueItems": True}}, [{"n": n} for n in range(19_999)] + [{"n": 0}]),
        ("json_path", {"path": "$" + "[*,*]" * 4 + "[*]" * 14 + ".nope"}, NESTED),
        ("json_path", {"path": "$" + "[*,*]" * 4, "compare": "count", "value": 1}, NESTED),
        ("json_schema", {"schema": {"contains": {"enum": [f"x{n}" for n in range(1900)]}}}, ["y"] * 19_000),
    ],
)
def test_no_answer_keeps_a_scorer_busy(scorer, settings, answer):
    began = time.monotonic()
    assert not judged(scorer, {"output": answer}, **settings)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "settings",
    [
        {"scorer": "json_path", "path": "$" + "[*,*,*,*]" * 18 + ".nope"},
        {"scorer": "json_path", "path": "$" + "[*]" + "[?@" + "[*,*,*,*]" * 17 + ".nope]", "negate": True},
        {
            "scorer": "json_schema",
            "schema": {"allOf": [{"contains": {"enum": [[n] for n in range(60_000)]}}] * 2},
        },
    ],
)
def test_scoring_ends_at_its_deadline_whatever_was_stored_before_it_was_refused(settings, monkeypatch):
    monkeypatch.setattr(documents, "SCORING", 0.2)
    case = documents.Case("slow", Severity.BLOCKER, 1, ({"field": "/output", **settings},), 1, "", "")
    answer = {"output": [["y"]] * 19_000 if "schema" in settings else NESTED}
    began = time.monotonic()
    with pytest.raises(OutOfTime):
        case.judge(answer)
    assert time.monotonic() - began < 2
    assert sys.getprofile() is None  # what runs here next is not watched


def test_what_caught_the_deadline_itself_has_still_missed_it():
    def stubborn():
        try:
            while True:
                time.monotonic()
        except OutOfTime:
            return "done"

    with pytest.raises(OutOfTime), within(0.05):
        assert stubborn() == "done"


def test_a_verdict_says_what_was_expected_and_found_and_is_bounded():
    settings = {"scorer": "contains", "field": "/output", "text": "x" * 5000, "negate": False}
    verdict = score(settings, {"output": "y" * 100_000})
    assert not verdict.passed and len(verdict.found) <= 300 and len(verdict.expected) < 400
    assert score(settings, {}).found == "nothing"
