"""JSON Schema (2020-12) for scoring a stranger's answer: nothing is fetched, and nothing takes more than linear time.

What would not be checked is refused rather than ignored: a misspelt keyword makes a case that cannot fail.
"""

from collections.abc import Iterator
from typing import Any, Final

import rfc8785
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend

from arm.errors import Problem

from .values import Json, count, pattern, same, short

LARGEST: Final = 300
"""Subschemas that an answer is held to, with every $ref written out."""
MOST_VALUES: Final = 2000
"""JSON values in a schema, those of every `enum` and `required` among them: each may be compared with each of an answer."""
ONE: Final = frozenset(
    [
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
MANY: Final = frozenset(["allOf", "anyOf", "oneOf", "prefixItems"])
NAMED: Final = frozenset(["$defs", "dependentSchemas", "properties"])
PLAIN: Final = frozenset(
    [
        "$comment",
        "$ref",
        "$schema",
        "const",
        "default",
        "dependentRequired",
        "deprecated",
        "description",
        "enum",
        "examples",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxContains",
        "maxItems",
        "maxLength",
        "maximum",
        "maxProperties",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "readOnly",
        "required",
        "title",
        "type",
        "uniqueItems",
        "writeOnly",
    ]
)
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
HERE: Final = "#/$defs/"


def _pattern(validator: Any, wanted: str, found: Json, schema: Json) -> Iterator[ValidationError]:
    if isinstance(found, str) and not pattern(wanted).search(found):
        yield ValidationError(f"does not match {wanted!r}")


def _unique(validator: Any, wanted: bool, found: Json, schema: Json) -> Iterator[ValidationError]:
    """The library compares every item with every other one."""
    if wanted and isinstance(found, list) and len({rfc8785.dumps(item) for item in found}) < len(found):
        yield ValidationError("has non-unique elements")


def _enum(validator: Any, wanted: list[Json], found: Json, schema: Json) -> Iterator[ValidationError]:
    """The library writes all of the list into its message, for every item that an answer has."""
    if not (found in wanted if isinstance(found, str) else any(same(one, found) for one in wanted)):
        yield ValidationError(f"{short(found, 100)} is not one of {short(wanted[:20], 100)}")


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"enum": _enum, "pattern": _pattern, "uniqueItems": _unique}
)


def first_error(schema: Json, value: Json) -> str:
    """Where and how the value departs from a schema that `problems` has passed; '' where it does not."""
    try:
        for error in _Validator(schema).iter_errors(value):
            where = "".join(f"/{step}" for step in error.absolute_path)
            return f"{where or '/'}: {error.message}"[:300]
    except ArithmeticError as problem:  # a multiple of almost nothing
        return f"It cannot be checked: {problem}."
    return ""


def problems(schema: Json, at: str) -> list[Problem]:
    """Everything that keeps this schema from being used, by pointer below `at`."""
    if not isinstance(schema, dict | bool):
        return [Problem(pointer=at, code="type", message="A schema is an object, true or false.")]
    if count(schema, MOST_VALUES) > MOST_VALUES:
        message = f"A schema holds at most {MOST_VALUES:,} values, those of every enum among them."
        return [Problem(pointer=at, code="too_large", message=message)]
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as problem:
        where = at + "".join(f"/{step}" for step in problem.absolute_path)
        return [
            Problem(
                pointer=where, code="schema", message=f"Not JSON Schema 2020-12: {problem.message[:200]}."
            )
        ]
    except RecursionError:
        return [Problem(pointer=at, code="schema", message="The schema is nested too deep.")]
    if found := list(_flaws(schema, at)):
        return found
    size = _size(schema, schema, {}, [])
    if size is None:
        message = "A schema may not refer to itself: an answer could keep it busy for ever."
        return [Problem(pointer=at, code="recursion", message=message)]
    if size > LARGEST:
        message = f"With every $ref written out it has {size:,} subschemas; at most {LARGEST} are taken."
        return [Problem(pointer=at, code="too_large", message=message)]
    return []


def _flaws(schema: Json, at: str) -> Iterator[Problem]:
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        here = f"{at}/{name}"
        if name not in ONE | MANY | NAMED | PLAIN:
            message = "This keyword is not checked here, so it may not stand here."
            yield Problem(pointer=here, code="unknown", message=message)
        elif name == "pattern":
            try:
                pattern(value)
            except ValueError as problem:
                yield Problem(pointer=here, code="regex", message=str(problem))
        elif name == "$schema" and value.rstrip("#") != DIALECT:
            yield Problem(pointer=here, code="schema", message=f"Only {DIALECT} is understood.")
        elif name == "$ref" and not value.startswith(HERE):
            message = f"Nothing is fetched: a $ref begins with {HERE}."
            yield Problem(pointer=here, code="remote", message=message)
    for here, below in _below(schema, at):
        yield from _flaws(below, here)


def _below(schema: dict[str, Json], at: str = "") -> Iterator[tuple[str, Json]]:
    for name, value in schema.items():
        if name in ONE:
            yield f"{at}/{name}", value
        elif name in MANY:
            yield from ((f"{at}/{name}/{n}", one) for n, one in enumerate(value))
        elif name in NAMED:
            yield from ((f"{at}/{name}/{key}", one) for key, one in value.items())


def _size(schema: Json, root: Json, known: dict[str, int], path: list[str]) -> int | None:
    """Subschemas with every $ref written out; None where one leads back to itself or to nothing."""
    if not isinstance(schema, dict):
        return 1
    total = 1
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(HERE)
        defined = root.get("$defs", {}) if isinstance(root, dict) else {}
        if name in path or name not in defined:
            return None
        if name not in known:
            inner = _size(defined[name], root, known, [*path, name])
            if inner is None:
                return None
            known[name] = inner
        total += known[name]
    for _, below in _below({key: value for key, value in schema.items() if key != "$defs"}):
        inner = _size(below, root, known, path)
        if inner is None:
            return None
        total += inner
    return total
