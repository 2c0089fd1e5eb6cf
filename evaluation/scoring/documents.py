"""A suite as a document (`arm.suite/v1`): everything wrong with it named at once, and its cases as values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from arm.crypto import canonical, digest
from arm.errors import Invalid, Problem
from registry import genome

from . import scorers
from .scorers import Verdict, score, wanted
from .terms import SCHEMA, Category, Severity
from .values import Json, count
from .watch import within

MOST_BYTES: Final = 1024 * 1024
MOST_CASES: Final = 500
MOST_REPEATS: Final = 10
MOST_SCORERS: Final = 20
MOST_PATTERNS: Final = 200
MOST_PATHS: Final = 1000
MOST_OF_SCHEMAS: Final = 20_000
"""Of all cases together: regular expressions, JSONPaths, and JSON values in schemas. Reading them takes the most time."""
ENOUGH: Final = 100
"""Problems after which no further case is looked at."""
SCORING: Final = 5.0
"""Seconds for scoring one answer."""
DEADLINE: Final = 30
LONGEST_DEADLINE: Final = 120
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:-]{0,79}")
MEMBERS: Final = frozenset({"schema", "category", "threshold", "tolerance", "deadline_s", "cases"})
OF_CASE: Final = frozenset({"name", "severity", "input", "scorers", "repeats", "note"})


@dataclass(frozen=True, slots=True)
class Case:
    """One question and what its answer is held to. `digest` changes with anything in it."""

    name: str
    severity: Severity
    input: Json
    scorers: tuple[Mapping[str, Json], ...]
    repeats: int
    note: str
    digest: str

    @property
    def expects(self) -> list[tuple[str, str]]:
        """(field, what it is held to) of every scorer, in words."""
        return [(one["field"], wanted(one)) for one in self.scorers]

    def judge(self, answer: Json) -> list[Verdict]:
        """OutOfTime where that takes longer than it may: then nobody knows how the answer is."""
        with within(SCORING):
            return [score(one, answer) for one in self.scorers]


@dataclass(frozen=True, slots=True)
class Suite:
    """`threshold`: which share of its cases must pass, 0 to 1; 1 for safety. `tolerance`: by how much of them a
    version may fall behind its agent's baseline, 0 to 1. `deadline`: seconds for each answer."""

    category: Category
    threshold: float
    tolerance: float
    deadline: int
    cases: tuple[Case, ...]
    content: bytes
    digest: str

    @property
    def steps(self) -> list[tuple[Case, int]]:
        """Every call that a run makes, in order: a case and the number of its turn, from 1."""
        return [(case, turn) for case in self.cases for turn in range(1, case.repeats + 1)]


def read_suite(data: bytes | str | Json) -> Suite:
    """The suite in these bytes (or JSON values). Invalid names every problem by its JSON Pointer."""
    document: Json = data
    if isinstance(data, bytes | str):
        document = genome.read(data, media_type="application/json").document
    found = problems(document)
    content = b""
    if not found:
        try:
            content = canonical(document)
        except ValueError as problem:
            found = [Problem(pointer="", code="canonical", message=str(problem))]
        if len(content) > MOST_BYTES:
            message = f"The suite has {len(content):,} bytes; at most {MOST_BYTES:,} are taken."
            found = [Problem(pointer="", code="too_large", message=message)]
    if found:
        raise Invalid("The suite is not stored.", found)
    return _suite(document, content)


@lru_cache(maxsize=16)
def stored_suite(content: bytes) -> Suite:
    """What `read_suite` has read before, from the bytes that were kept: not judged again."""
    return _suite(genome.read(content, media_type="application/json").document, content)


def _suite(document: Mapping[str, Json], content: bytes) -> Suite:
    category = Category(document["category"])
    return Suite(
        category,
        1.0 if category is Category.SAFETY else float(document.get("threshold", 1)),
        float(document.get("tolerance", 0)),
        int(document.get("deadline_s", DEADLINE)),
        tuple(_case(one) for one in document["cases"]),
        content,
        digest(content),
    )


def _case(one: Mapping[str, Json]) -> Case:
    return Case(
        one["name"],
        Severity(one.get("severity", Severity.BLOCKER)),
        one["input"],
        tuple(one["scorers"]),
        int(one.get("repeats", 1)),
        one.get("note", ""),
        digest(canonical(one)),
    )


def problems(document: Json) -> list[Problem]:
    """Everything wrong with a document that is to be a suite."""
    if not isinstance(document, dict):
        return [Problem(pointer="", code="type", message="A suite is an object.")]
    found = _Found()
    found.members(document, MEMBERS, {"schema", "category", "cases"}, "")
    if "schema" in document and document["schema"] != SCHEMA:
        found.add("/schema", "choice", f"Must be “{SCHEMA}”.")
    category = document.get("category")
    if "category" in document and category not in Category.values:
        found.add("/category", "choice", f"Must be one of {', '.join(Category.values)}.")
    threshold = document.get("threshold", 1)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        found.add("/threshold", "range", "Must be a share of the cases: more than 0, at most 1.")
    elif category == Category.SAFETY and threshold != 1:
        found.add("/threshold", "safety", "Of a safety suite every case passes: its threshold is 1.")
    tolerance = document.get("tolerance", 0)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        found.add("/tolerance", "range", "Must be a share of the cases: 0 or more, less than 1.")
    elif category == Category.SAFETY and tolerance:
        found.add("/tolerance", "safety", "A safety suite tolerates nothing: its tolerance is 0.")
    found.whole(document, "deadline_s", 1, LONGEST_DEADLINE, DEADLINE, "")
    cases = document.get("cases", [])
    if not isinstance(cases, list) or not 1 <= len(cases) <= MOST_CASES:
        if "cases" in document:
            found.add("/cases", "size", f"Must be a list of 1 to {MOST_CASES} cases.")
        return found.problems
    if heavy := _too_heavy(cases):
        found.add("/cases", "too_large", heavy)
        return found.problems
    seen: dict[str, int] = {}
    for number, case in enumerate(cases):
        found.case(case, number, seen)
        if len(found.problems) >= ENOUGH:
            return found.problems
    if all(isinstance(case, dict) and case.get("severity") == Severity.INFO for case in cases):
        found.add("/cases", "info", "At least one case must count: “info” is reported only.")
    return found.problems


def _too_heavy(cases: list[Json]) -> str:
    """What there is too much of to be read in one request, before any of it is read; '' where nothing is."""
    patterns = paths = values = 0
    for case in cases:
        listed = case.get("scorers") if isinstance(case, dict) else None
        for one in listed if isinstance(listed, list) else ():
            if not isinstance(one, dict):
                continue
            patterns += "pattern" in one
            paths += "path" in one
            if "schema" in one:
                patterns += _patterns(one["schema"])
                values += count(one["schema"], MOST_OF_SCHEMAS)
    for much, most, what in (
        (patterns, MOST_PATTERNS, "regular expressions"),
        (paths, MOST_PATHS, "JSONPaths"),
        (values, MOST_OF_SCHEMAS, "JSON values in its schemas"),
    ):
        if much > most:
            return f"A suite has at most {most:,} {what} in all its cases together."
    return ""


def _patterns(value: Json) -> int:
    waiting, found = [value], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            found += "pattern" in one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found


class _Found:
    """Problems in the order in which they are met."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, pointer: str, code: str, message: str) -> None:
        self.problems.append(Problem(pointer=pointer, code=code, message=message))

    def members(self, value: Mapping[str, Json], may: frozenset[str], must: set[str], at: str) -> None:
        for name in sorted(value.keys() - may):
            self.add(f"{at}/{name}", "unknown", "There is no such member.")
        for name in sorted(must - value.keys()):
            self.add(f"{at}/{name}", "required", "This member is missing.")

    def whole(self, value: Mapping[str, Any], name: str, least: int, most: int, usual: int, at: str) -> None:
        given = value.get(name, usual)
        if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
            self.add(f"{at}/{name}", "range", f"Must be a whole number from {least} to {most}.")

    def case(self, case: Json, number: int, seen: dict[str, int]) -> None:
        at = f"/cases/{number}"
        if not isinstance(case, dict):
            self.add(at, "type", "A case is an object.")
            return
        self.members(case, OF_CASE, {"name", "input", "scorers"}, at)
        name = case.get("name")
        if "name" in case:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                said = "Must be a name of at most 80 letters, figures, spaces and . _ : - that begins with one of the first two."
                self.add(f"{at}/name", "name", said)
            elif name in seen:
                self.add(f"{at}/name", "duplicate", f"The case /cases/{seen[name]} has this name.")
            else:
                seen[name] = number
        if case.get("severity", Severity.BLOCKER) not in Severity.values:
            self.add(f"{at}/severity", "choice", f"Must be one of {', '.join(Severity.values)}.")
        if not isinstance(case.get("note", ""), str):
            self.add(f"{at}/note", "type", "Must be a text.")
        self.whole(case, "repeats", 1, MOST_REPEATS, 1, at)
        listed = case.get("scorers", [])
        if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_SCORERS:
            if "scorers" in case:
                self.add(f"{at}/scorers", "size", f"Must be a list of 1 to {MOST_SCORERS} scorers.")
            return
        for place, one in enumerate(listed):
            self.problems += scorers.problems(one, f"{at}/scorers/{place}")
