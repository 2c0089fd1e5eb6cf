"""What is wrong with a genome, what is missing, and what is risky about it."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from arm.errors import Problem
from registry.genome.kinds import Json
from registry.genome.leaks import secrets_in
from registry.genome.reading import pointer
from registry.genome.schema import PROFILES, REQUIRED, SCHEMA
from registry.genome.sealing import member_rule, normalise, prune
from registry.genome.security import flaws as security_flaws
from registry.genome.servers import flaws as server_flaws
from registry.genome.servers import without_tools

FLOATING = frozenset({"floating", "latest", "default", "stable", "preview"})
MAX_PROBLEMS = 1000

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Flag:
    """Something allowed that a reviewer should look at."""

    code: str
    pointer: str
    message: str

    @property
    def words(self) -> str:
        """The code as a person reads it."""
        return self.code.replace("_", " ")


def check(genome: dict[str, Json], *, required_profiles: Collection[str]) -> list[Problem]:
    """Everything between this genome and one that may be tested: what is wrong, then what is missing."""
    return wrong(genome) + missing(genome, required_profiles=required_profiles)


def wrong(genome: dict[str, Json]) -> list[Problem]:
    """Every member that is present and not right, at most 1,000. Absence of a required member is no error here."""
    held = prune({name: _cut(name, value) for name, value in genome.items()})
    bounded = {name: value for name, value in held.items() if not _too_long(name, value)}
    found: dict[tuple[str, str], Problem] = {}
    for path, code, message in (*_schema_flaws(held), *_meaning_flaws(bounded)):
        where = pointer(path)
        found.setdefault((where, code), Problem(pointer=where, code=code, message=message))
        if len(found) >= MAX_PROBLEMS:
            break
    return list(found.values())


def missing(genome: dict[str, Json], *, required_profiles: Collection[str] = ()) -> list[Problem]:
    """The required members that are absent: the fixed ones, and the profiles that this tenant demands.

    ValueError for a profile that genomes do not have.
    """
    if unknown := set(required_profiles) - set(PROFILES):
        raise ValueError(f"No such genome profile: {', '.join(sorted(unknown))}.")
    held = prune(genome)
    wanted = (*REQUIRED, *(name for name in PROFILES if name in required_profiles))
    return [
        Problem(pointer=pointer([name]), code="missing", message=f"“{name}” is missing.")
        for name in wanted
        if name not in held
    ]


def completeness(genome: dict[str, Json]) -> int:
    """Percent of the recommended profiles that are present, rounded down."""
    held = prune(genome)
    return 100 * sum(name in held for name in PROFILES) // len(PROFILES)


def risk_flags(genome: dict[str, Json]) -> list[Flag]:
    """What a reviewer should look at. Takes a genome without wrong members."""
    return [Flag(code, pointer(path), message) for path, code, message in _risks(normalise(genome))]


# the schema, in sentences

_KINDS = {
    "string": "a string",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}


def _every_missing(_: Any, names: list[str], value: Json, rule: dict[str, Json]) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        for name in names:
            if name not in value:
                yield ValidationError(f"“{name}” is required here.", path=(name,), validator="required")


def _every_unknown(_: Any, closed: bool, value: Json, rule: dict[str, Json]) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        for name in value:
            if member_rule(rule, name) is None:
                message = "No such member; the name of an extension starts with “x_”."
                yield ValidationError(message, path=(name,), validator="unknown")


def _items_within_bounds(
    validator: Any, items: dict[str, Json], value: Json, rule: dict[str, Json]
) -> Iterator[ValidationError]:
    if isinstance(value, list) and len(value) <= rule.get("maxItems", len(value)):  # see _too_long
        for index, item in enumerate(value):
            yield from validator.descend(item, items, path=index)


def _whole_pattern(
    validator: Any, pattern: str, value: Json, rule: dict[str, Json]
) -> Iterator[ValidationError]:
    # in ECMA 262, which JSON Schema means, “$” is the end of the text; in Python it also stands before a line feed
    if isinstance(value, str) and value.endswith("\n"):
        yield ValidationError("")
    else:
        yield from Draft202012Validator.VALIDATORS["pattern"](validator, pattern, value, rule)


_VALIDATOR = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "required": _every_missing,
        "additionalProperties": _every_unknown,
        "items": _items_within_bounds,
        "pattern": _whole_pattern,
    },
)({**SCHEMA, "required": []})

_SENTENCES: dict[str, Callable[[Any, dict[str, Json]], str]] = {
    "type": lambda kind, rule: f"Must be {_KINDS[kind]}.",
    "enum": lambda values, rule: f"Must be one of {', '.join(values)}.",
    "const": lambda value, rule: f"Must be “{value}”.",
    "pattern": lambda _, rule: f"Must be {rule['description']}.",
    "minLength": lambda least, rule: "Must not be empty.",
    "maxLength": lambda most, rule: f"Must have at most {most:,} characters.",
    "minItems": lambda least, rule: f"Must have at least {least}.",
    "maxItems": lambda most, rule: f"Must have at most {most:,} items.",
    "minimum": lambda least, rule: f"Must be at least {least:,}.",
    "maximum": lambda most, rule: f"Must be at most {most:,}.",
}


def _schema_flaws(held: dict[str, Json]) -> Iterator[tuple[Path, str, str]]:
    for error in _VALIDATOR.iter_errors(held):
        keyword = str(error.validator)
        sentence = _SENTENCES.get(keyword)
        message = sentence(error.validator_value, error.schema) if sentence else error.message
        yield tuple(error.absolute_path), keyword, message


# what a schema cannot say


def _meaning_flaws(held: dict[str, Json]) -> Iterator[tuple[Path, str, str]]:
    for path, what in secrets_in(held):
        yield path, "secret", f"This looks like {what}. Take it out, replace it, and name it under “secrets”."
    yield from _model_flaws(held.get("models"))
    prompts = _objects(held.get("prompts"))
    if prompts and not any(prompt.get("role") == "system" for _, prompt in prompts):
        yield ("prompts",), "system_prompt", "One prompt must have the role “system”."
    for name, key in (
        ("tools", "name"),
        ("data_sources", "id"),
        ("skills", "id"),
        ("secrets", "name"),
        ("servers", "name"),
    ):
        yield from _repeats(name, key, held.get(name))
    yield from _repeats("evaluations", "digest", held.get("evaluations"))
    yield from security_flaws(held.get("security"))
    yield from server_flaws(held.get("servers"))
    memory = held.get("memory")
    if isinstance(memory, dict) and memory.get("kind") == "none":
        for name in ("redacts", "sensitivity"):
            if memory.get(name):
                yield ("memory", name), "contradiction", "It keeps nothing, so this must be absent."
    provenance = held.get("provenance")
    built_at = provenance.get("built_at") if isinstance(provenance, dict) else None
    if isinstance(built_at, str) and not _is_moment(built_at):
        yield ("provenance", "built_at"), "pattern", "There is no such moment."
    spawn = held.get("spawn")
    if isinstance(spawn, dict) and spawn.get("allowed") is False:
        for name in ("max_depth", "max_children", "max_per_hour", "child_templates", "child_roles"):
            if spawn.get(name):
                yield (
                    ("spawn", name),
                    "contradiction",
                    "Spawning is not allowed here, so this must be absent.",
                )


def _cut(name: str, value: Json) -> Json:
    """As much of a list that is too long as shows that it is: nobody waits for us to read the rest."""
    return value[: SCHEMA["properties"][name]["maxItems"] + 1] if _too_long(name, value) else value


def _too_long(name: str, value: Json) -> bool:
    """One problem of its own, from the schema; nobody waits for us to look into a hundred thousand items."""
    return isinstance(value, list) and len(value) > SCHEMA["properties"].get(name, {}).get(
        "maxItems", len(value)
    )


def _model_flaws(models: Json) -> Iterator[tuple[Path, str, str]]:
    by_role: defaultdict[str, list[tuple[int, dict[str, Json]]]] = defaultdict(list)
    for index, model in _objects(models):
        if isinstance(role := model.get("role"), str):
            by_role[role].append((index, model))
    for index, _ in by_role["primary"][1:]:
        yield (
            ("models", index, "role"),
            "primary",
            "Exactly one model may be primary; another one before it is.",
        )
    if isinstance(models, list) and models and not by_role["primary"]:
        yield ("models",), "primary", "Exactly one model must have the role “primary”."
    for role, same in by_role.items():
        ordered = [model.get("order") for _, model in same]
        if all(order is None for order in ordered):
            continue
        for place, (index, _) in enumerate(same):
            if ordered[place] is None:
                message = f"Another {role} model has an order, so this one needs one too."
                yield ("models", index, "order"), "order", message
            elif ordered[place] in ordered[:place]:
                yield ("models", index, "order"), "order", f"Another {role} model has the same order."


def _repeats(name: str, key: str, items: Json) -> Iterator[tuple[Path, str, str]]:
    seen: set[str] = set()
    for index, item in _objects(items):
        if isinstance(value := item.get(key), str):
            normal = unicodedata.normalize("NFC", value)
            if normal in seen:
                yield (name, index, key), "duplicate", f"Another of these has the same {key}."
            seen.add(normal)


def _objects(items: Json) -> list[tuple[int, dict[str, Json]]]:
    held = items if isinstance(items, list) else []
    return [(index, item) for index, item in enumerate(held) if isinstance(item, dict)]


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


# risks


def _risks(genome: dict[str, Json]) -> Iterator[tuple[Path, str, str]]:
    for index, model in enumerate(genome.get("models", ())):
        if model["revision"].lower() in FLOATING:
            message = (
                f"{model['provider']} {model['name']} is not pinned to a revision and can change unseen."
            )
            yield ("models", index, "revision"), "floating_revision", message
    for index, tool in enumerate(genome.get("tools", ())):
        if tool["risk"] == "RED":
            yield ("tools", index, "risk"), "red_tool", f"The tool {tool['name']} is red."
        elif tool["risk"] == "GREEN" and tool.get("side_effect"):
            message = f"The tool {tool['name']} changes something outside the agent and is declared green."
            yield ("tools", index, "side_effect"), "green_side_effect", message
    for index, source in enumerate(genome.get("data_sources", ())):
        if source["class"] == "restricted":
            message = f"Restricted data: {source['id']} ({source['access'].replace('_', ' and ')})."
            yield ("data_sources", index, "class"), "restricted_data", message
    for index, name in without_tools(genome):
        message = f"The server {name} is named, but none of its tools is pinned."
        yield ("servers", index), "unpinned_server", message
    spawn = genome.get("spawn", {})
    if spawn.get("allowed") and not (spawn.get("max_depth") and spawn.get("max_children")):
        yield ("spawn",), "unbounded_spawn", "It may spawn others without a depth and a number."
    memory = genome.get("memory", {})
    if memory.get("pii") == "stored":
        yield ("memory", "pii"), "stored_pii", "Its memory keeps personal data."
    if memory.get("sensitivity") == "restricted" and "retention_s" not in memory:
        yield ("memory", "sensitivity"), "endless_memory", "Its memory keeps restricted data without an end."
    if genome.get("behavior", {}).get("risk_tolerance") == "high":
        message = "Much may be at stake in what it does without asking."
        yield ("behavior", "risk_tolerance"), "high_risk_tolerance", message
    if genome.get("behavior", {}).get("autonomy_tier_max", 0) >= 4:
        tier = genome["behavior"]["autonomy_tier_max"]
        yield ("behavior", "autonomy_tier_max"), "high_autonomy", f"It may reach autonomy tier {tier}."
    if "limits" not in genome:
        yield ("limits",), "no_limits", "It names no limits of its own."
