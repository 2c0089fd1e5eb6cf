"""Deterministic scorers: each looks at one field of an answer and says passed or not, what it expected and what it found.

A field that is not there is never a pass, negated or not: an agent that says nothing has not shown anything.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

from jsonpath_rfc9535 import JSONPathEnvironment
from jsonpath_rfc9535.exceptions import JSONPathError

from arm.errors import Problem

from . import schemas
from .values import MISSING, Json, find, pattern, pointer_problem, same, short

LONGEST_PATH: Final = 200
MOST_NODES: Final = 10_000
MOST_COMMAS: Final = 4
"""Further selectors in the brackets of a path: each may double how often a value is looked at."""
QUOTED: Final = re.compile(r"'(?:[^'\\]|\\.)*'|" + r'"(?:[^"\\]|\\.)*"')
LONGEST_TEXT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """One scorer's answer about one field; texts are cut to what a page shows."""

    scorer: str
    field: str
    passed: bool
    expected: str
    found: str
    message: str = ""

    def members(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a scorer thinks of a value that is there, before any negation."""

    holds: bool
    message: str = ""
    decided: bool = True
    """False where the value is of a kind that this scorer cannot judge: then it is no pass either way."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """`takes`: members beside scorer, field and negate. `wrong` checks them, `judge` uses them, `says` words them."""

    takes: frozenset[str]
    needs: frozenset[str]
    wrong: Callable[[Mapping[str, Json], str], list[Problem]]
    judge: Callable[[Mapping[str, Json], Json], Judged]
    says: Callable[[Mapping[str, Json]], str]


class _Paths(JSONPathEnvironment):
    """RFC 9535 without match() and search(): their regular expressions may take for ever."""

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        for name in ("match", "search"):
            del self.function_extensions[name]


PATHS: Final = _Paths()


def _nothing_wrong(settings: Mapping[str, Json], at: str) -> list[Problem]:
    return []


def _exact(settings: Mapping[str, Json], value: Json) -> Judged:
    wanted = settings["value"]
    if settings.get("ignore_case") and isinstance(wanted, str) and isinstance(value, str):
        return Judged(wanted.casefold() == value.casefold())
    return Judged(same(wanted, value))


def _text_wrong(settings: Mapping[str, Json], at: str) -> list[Problem]:
    text = settings.get("text")
    if not isinstance(text, str) or not text or len(text) > LONGEST_TEXT:
        message = f"Must be a text of 1 to {LONGEST_TEXT:,} characters."
        return [Problem(pointer=f"{at}/text", code="type", message=message)]
    return []


def _contains(settings: Mapping[str, Json], value: Json) -> Judged:
    if not isinstance(value, str):
        return Judged(False, "The field holds no text.", decided=False)
    if settings.get("ignore_case"):
        return Judged(settings["text"].casefold() in value.casefold())
    return Judged(settings["text"] in value)


def _regex_wrong(settings: Mapping[str, Json], at: str) -> list[Problem]:
    try:
        pattern(settings.get("pattern"))
    except ValueError as problem:
        return [Problem(pointer=f"{at}/pattern", code="regex", message=str(problem))]
    return []


def _regex(settings: Mapping[str, Json], value: Json) -> Judged:
    if not isinstance(value, str):
        return Judged(False, "The field holds no text.", decided=False)
    return Judged(pattern(settings["pattern"]).search(value) is not None)


def _schema_wrong(settings: Mapping[str, Json], at: str) -> list[Problem]:
    return schemas.problems(settings.get("schema"), f"{at}/schema")


def _schema(settings: Mapping[str, Json], value: Json) -> Judged:
    error = schemas.first_error(settings["schema"], value)
    return Judged(not error, error)


COMPARISONS: Final = {
    "exists": "at least one value",
    "equals": "one value, equal to",
    "some": "a value equal to",
    "every": "only values equal to",
    "count": "this number of values:",
    "at_least": "one number, at least",
    "at_most": "one number, at most",
}


def _path_wrong(settings: Mapping[str, Json], at: str) -> list[Problem]:
    found: list[Problem] = []

    def wrong(member: str, code: str, message: str) -> None:
        found.append(Problem(pointer=f"{at}/{member}", code=code, message=message))

    path, compare = settings.get("path"), settings.get("compare", "exists")
    if not isinstance(path, str) or len(path) > LONGEST_PATH:
        wrong("path", "type", f"Must be a JSONPath (RFC 9535) of at most {LONGEST_PATH} characters.")
    elif path.count("..") > 1 or path.count("$") > 1:
        wrong("path", "json_path", "A path descends (..) at most once, and names its root ($) once.")
    elif QUOTED.sub("", path).count(",") > MOST_COMMAS:
        message = f"In all its brackets together a path has at most {MOST_COMMAS} commas."
        wrong("path", "json_path", message)
    else:
        try:
            PATHS.compile(path)
        except (JSONPathError, RecursionError) as problem:
            wrong("path", "json_path", f"Not a JSONPath: {str(problem).splitlines()[0][:200]}.")
    if not isinstance(compare, str) or compare not in COMPARISONS:
        wrong("compare", "choice", f"Must be one of {', '.join(COMPARISONS)}.")
    elif (compare == "exists") == ("value" in settings):
        wrong(
            "value",
            "value",
            "“exists” takes no value." if compare == "exists" else f"“{compare}” takes a value.",
        )
    elif compare in ("count", "at_least", "at_most") and not _number(settings["value"]):
        wrong("value", "type", "Must be a number.")
    return found


def _number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _path(settings: Mapping[str, Json], value: Json) -> Judged:
    compare = settings.get("compare", "exists")
    wanted: Json = settings.get("value")
    try:
        nodes = islice(PATHS.compile(settings["path"]).finditer(value), MOST_NODES + 1)
        values: list[Json] = [node.value for node in nodes]
    except (JSONPathError, RecursionError) as problem:
        return Judged(False, f"The path cannot be followed: {problem}"[:200], decided=False)
    if len(values) > MOST_NODES:
        return Judged(False, f"The path finds more than {MOST_NODES:,} values.", decided=False)
    said = f"The path finds {short(values, 200)}."
    if compare == "exists":
        return Judged(bool(values), said)
    if compare == "count":
        return Judged(len(values) == wanted, said)
    if compare == "some":
        return Judged(any(same(one, wanted) for one in values), said)
    if compare == "every":
        return Judged(bool(values) and all(same(one, wanted) for one in values), said)
    if len(values) != 1:
        return Judged(False, said, decided=False)
    if compare == "equals":
        return Judged(same(values[0], wanted), said)
    if not _number(values[0]):
        return Judged(False, said, decided=False)
    return Judged(values[0] >= wanted if compare == "at_least" else values[0] <= wanted, said)


def _path_says(settings: Mapping[str, Json]) -> str:
    compare = settings.get("compare", "exists")
    value = f" {short(settings['value'], 100)}" if "value" in settings else ""
    return f"{settings['path']} finds {COMPARISONS[compare]}{value}"


SCORERS: Final[dict[str, Scorer]] = {
    "exact": Scorer(
        frozenset({"value", "ignore_case"}), frozenset({"value"}), _nothing_wrong, _exact,
        lambda settings: f"exactly {short(settings['value'], 200)}",
    ),
    "contains": Scorer(
        frozenset({"text", "ignore_case"}), frozenset({"text"}), _text_wrong, _contains,
        lambda settings: f"a text with “{settings['text'][:200]}” in it",
    ),
    "regex": Scorer(
        frozenset({"pattern"}), frozenset({"pattern"}), _regex_wrong, _regex,
        lambda settings: f"a text that matches {settings['pattern'][:200]}",
    ),
    "json_schema": Scorer(
        frozenset({"schema"}), frozenset({"schema"}), _schema_wrong, _schema,
        lambda settings: f"what the schema {short(settings['schema'], 200)} allows",
    ),
    "json_path": Scorer(
        frozenset({"path", "compare", "value"}), frozenset({"path"}), _path_wrong, _path, _path_says,
    ),
}  # fmt: skip


def problems(settings: Json, at: str) -> list[Problem]:
    """Everything wrong with one scorer as a suite writes it, by pointer below `at`."""
    if not isinstance(settings, dict):
        return [Problem(pointer=at, code="type", message="A scorer is an object.")]
    name = settings.get("scorer")
    scorer = SCORERS.get(name) if isinstance(name, str) else None
    if scorer is None:
        message = f"Must be one of {', '.join(SCORERS)}."
        return [Problem(pointer=f"{at}/scorer", code="choice", message=message)]
    found = [
        Problem(pointer=f"{at}/{member}", code="unknown", message=f"“{name}” takes no such member.")
        for member in sorted(settings.keys() - scorer.takes - {"scorer", "field", "negate"})
    ]
    found += [
        Problem(pointer=f"{at}/{member}", code="required", message="This member is missing.")
        for member in sorted((scorer.needs | {"field"}) - settings.keys())
    ]
    if "field" in settings and (why := pointer_problem(settings["field"])):
        found.append(Problem(pointer=f"{at}/field", code="pointer", message=why))
    for member in ("negate", "ignore_case"):
        if not isinstance(settings.get(member, False), bool):
            found.append(Problem(pointer=f"{at}/{member}", code="type", message="Must be true or false."))
    return found + (scorer.wrong(settings, at) if scorer.needs <= settings.keys() else [])


def wanted(settings: Mapping[str, Json]) -> str:
    """What the scorer expects, in words."""
    words = SCORERS[settings["scorer"]].says(settings)
    return f"not {words}" if settings.get("negate", False) else words


def score(settings: Mapping[str, Json], answer: Json) -> Verdict:
    """One scorer that `problems` has passed, put to an answer."""
    name, field = settings["scorer"], settings["field"]
    scorer = SCORERS[name]
    negate, expected = settings.get("negate", False), wanted(settings)
    value = find(answer, field)
    if value is MISSING:
        return Verdict(name, field, False, expected, short(value), "The answer has no such field.")
    judged = scorer.judge(settings, value)
    passed = judged.decided and judged.holds is not negate
    return Verdict(name, field, passed, expected, short(value), "" if passed else judged.message)
