"""A suite is taken whole or refused whole, with every problem named."""

import json
import time

import pytest

from arm.errors import Invalid
from evaluation.scoring import Category, Severity, judge, read_suite, stored_suite
from tests.evaluation.suites import case, suite


def refused(document):
    with pytest.raises(Invalid) as problem:
        read_suite(document)
    return {(error["pointer"], error["code"]) for error in problem.value.errors}


def test_a_suite_is_its_canonical_bytes_and_their_digest_however_it_is_written():
    document = suite(case("a"), case("b", severity="warning", repeats=3))
    one = read_suite(json.dumps(document, indent=4).encode())
    other = read_suite(dict(reversed(document.items())))
    assert (one.content, one.digest) == (other.content, other.digest)
    assert stored_suite(one.content) == one
    assert [(c.name, turn) for c, turn in one.steps] == [("a", 1), ("b", 1), ("b", 2), ("b", 3)]
    assert [c.severity for c in one.cases] == [Severity.BLOCKER, Severity.WARNING]


def test_every_problem_of_a_suite_is_named_at_once():
    document = suite(
        case("a", scorers=[]),
        case("a", severity="grave", repeats=0),
        {"name": "", "input": 1, "scorers": [{"scorer": "regex", "field": "", "pattern": "("}], "more": 1},
        5,
        category="looks",
        threshold=1.5,
        deadline_s=1000,
        owner="x",
    )
    assert refused(document) == {
        ("/owner", "unknown"),
        ("/category", "choice"),
        ("/threshold", "range"),
        ("/deadline_s", "range"),
        ("/cases/0/scorers", "size"),
        ("/cases/1/name", "duplicate"),
        ("/cases/1/severity", "choice"),
        ("/cases/1/repeats", "range"),
        ("/cases/2/more", "unknown"),
        ("/cases/2/name", "name"),
        ("/cases/2/scorers/0/pattern", "regex"),
        ("/cases/3", "type"),
    }


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, {("/schema", "required"), ("/category", "required"), ("/cases", "required")}),
        (suite() | {"cases": []}, {("/cases", "size")}),
        (suite() | {"cases": {}}, {("/cases", "size")}),
        (suite() | {"schema": "arm.suite/v2"}, {("/schema", "choice")}),
        (suite(category="safety", threshold=0.9), {("/threshold", "safety")}),
        (suite(threshold=0), {("/threshold", "range")}),
        (suite(threshold=True), {("/threshold", "range")}),
        (suite(case(severity="info")), {("/cases", "info")}),
        (suite(case(severity=["info"])), {("/cases/0/severity", "choice")}),
        (suite(*(case(f"c{n}") for n in range(501))), {("/cases", "size")}),
        (suite(case(note="a" * 2_000_000)), {("", "too_large")}),
        (b"{", {("", "syntax")}),
        (b"[]", {("", "type")}),
        (b'{"schema": NaN}', {("/schema", "number")}),
        (b"\xff", {("", "encoding")}),
    ],
)
def test_what_is_no_suite_is_refused_with_its_pointer(document, expected):
    assert refused(document) == expected


def many(count, per_case=20, **scorer):
    """A suite with this many scorers, each with its number in the place of {n}."""

    def numbered(value, n):
        if isinstance(value, dict):
            return {name: numbered(inner, n) for name, inner in value.items()}
        if isinstance(value, list):
            return [numbered(inner, n) for inner in value]
        return value.replace("{n}", str(n)) if isinstance(value, str) else value

    listed = [{"field": "", **numbered(scorer, n)} for n in range(count)]
    return suite(*(case(f"c{at}", scorers=listed[at : at + per_case]) for at in range(0, count, per_case)))


@pytest.mark.parametrize(
    ("document", "taken"),
    [
        (many(200, scorer="regex", pattern="^a{n}$"), True),
        (many(201, scorer="regex", pattern="^a{n}$"), False),
        (many(201, scorer="json_schema", schema={"items": {"pattern": "^a{n}$"}}), False),
        (many(1001, scorer="json_path", path="$.a{n}"), False),
        (many(11, scorer="json_schema", schema={"enum": [*range(1900), "{n}"]}), False),
    ],
)
def test_a_suite_that_would_take_too_long_to_read_is_refused_before_it_is_read(document, taken):
    began = time.monotonic()
    if taken:
        assert read_suite(document).content
    else:
        assert refused(document) == {("/cases", "too_large")}
    assert time.monotonic() - began < 2


def test_patterns_that_take_long_to_refuse_do_not_keep_a_request_busy():
    slow = many(200, scorer="regex", pattern=r"(\pL|\pN|\pS){300}{n}")
    began = time.monotonic()
    found = refused(slow)
    assert {code for _, code in found} == {"regex"} and 100 <= len(found) < 120
    assert time.monotonic() - began < 5  # all of them, at the usual memory, take half a minute


def results(**cases):
    return [(name, *value.split()) for name, value in cases.items()]


@pytest.mark.parametrize(
    ("category", "threshold", "cases", "outcome"),
    [
        ("regression", 1.0, {"a": "blocker passed", "b": "warning passed"}, "passed"),
        ("regression", 1.0, {"a": "blocker passed", "b": "warning failed"}, "failed"),
        ("regression", 0.5, {"a": "blocker passed", "b": "warning failed"}, "passed"),
        ("regression", 0.5, {"a": "blocker failed", "b": "warning passed"}, "failed"),
        ("regression", 0.5, {"a": "blocker errored", "b": "warning passed"}, "errored"),
        ("regression", 0.5, {"a": "blocker errored", "b": "blocker failed"}, "failed"),
        ("regression", 1.0, {"a": "blocker passed", "b": "info failed"}, "passed"),
        (
            "capability",
            0.6,
            {"a": "warning passed", "b": "warning failed", "c": "warning errored"},
            "errored",
        ),
        ("capability", 0.7, {"a": "warning passed", "b": "warning failed", "c": "warning errored"}, "failed"),
        ("safety", 0.1, {"a": "warning passed", "b": "info failed"}, "failed"),
        ("safety", 1.0, {"a": "blocker passed", "b": "warning errored"}, "errored"),
        ("safety", 1.0, {"a": "info passed"}, "passed"),
        ("safety", 1.0, {}, "errored"),
    ],
)
def test_how_a_run_comes_out(category, threshold, cases, outcome):
    assert judge(category, threshold, results(**cases)).outcome == outcome


def test_a_case_that_is_asked_several_times_passes_only_if_it_always_does():
    thrice = [("a", "blocker", outcome) for outcome in ("passed", "errored", "passed")]
    assert judge(Category.CAPABILITY, 1, thrice).outcome == "errored"
    found = judge(Category.CAPABILITY, 1, [*thrice, ("a", "blocker", "failed")])
    assert (found.outcome, found.failed, found.errored) == ("failed", 1, 0)
    assert "“a”" in found.said
