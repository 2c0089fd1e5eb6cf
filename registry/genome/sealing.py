"""The hashing rule: one genome, one sequence of bytes, one digest."""

import re
import unicodedata
from dataclasses import dataclass
from typing import cast

from arm.crypto import canonical, digest
from registry.genome.kinds import Json
from registry.genome.schema import SCHEMA


@dataclass(frozen=True)
class Sealed:
    """What is stored of a genome. `unhashed` holds the members of `provenance` that are no part of the digest."""

    bytes: bytes
    digest: str
    unhashed: dict[str, str]


def seal(genome: dict[str, Json]) -> Sealed:
    """The RFC 8785 bytes of the normalised genome and their `sha256:<hex>`. ValueError if it is not I-JSON."""
    data = canonical(normalise(genome))
    provenance = genome.get("provenance")
    held = provenance if isinstance(provenance, dict) else {}
    rules = SCHEMA["properties"]["provenance"]["properties"]
    aside = {name: held[name] for name, rule in rules.items() if "x-arm-unhashed" in rule and held.get(name)}
    return Sealed(data, digest(data), aside)


def normalise(genome: dict[str, Json]) -> dict[str, Json]:
    """Steps 2 to 5 of the hashing rule: names to NFC, sets in order, empty members and the unhashed ones left out.

    Total for any JSON object: what the schema does not know is kept as it is, for `wrong` to refuse.
    """
    return cast(dict[str, Json], _shaped(genome, SCHEMA, final=True))


def prune(genome: dict[str, Json]) -> dict[str, Json]:
    """The genome without empty members (absent and empty mean the same); arrays keep their order."""
    return cast(dict[str, Json], _shaped(genome, SCHEMA, final=False))


def _shaped(value: Json, rule: dict[str, Json], *, final: bool) -> Json:
    if "x-arm-free" in rule:
        return value
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value) if final and "x-arm-name" in rule else value
    if isinstance(value, list):
        items = [_shaped(item, rule.get("items", {}), final=final) for item in value]
        return _sorted(items, rule["x-arm-set"]) if final and "x-arm-set" in rule else items
    if isinstance(value, dict):
        return _members(value, rule, final=final)
    return value


def _members(value: dict[str, Json], within: dict[str, Json], *, final: bool) -> dict[str, Json]:
    kept = {}
    for name, inner in value.items():
        rule = member_rule(within, name)
        if rule is not None:
            if final and "x-arm-unhashed" in rule:
                continue
            inner = _shaped(inner, rule, final=final)
            if inner is None or (inner in ("", [], {}) and "x-arm-keep-empty" not in rule):
                continue
        kept[name] = inner
    return kept


def member_rule(within: dict[str, Json], name: str) -> dict[str, Json] | None:
    """What the schema says of a member of this object; None for one that it does not know."""
    known: dict[str, dict[str, Json]] = within.get("properties", {})
    if name in known:
        return known[name]
    for pattern, rule in within.get("patternProperties", {}).items():
        if re.fullmatch(pattern, name):
            return dict(rule)
    return None


def _sorted(items: list[Json], by: list[str]) -> list[Json]:
    """Stable: where several share a key (two fallbacks without `order`), the author's order stands."""

    def key(item: Json) -> list[tuple[int, float, str]]:
        values = [item.get(name) for name in by] if by and isinstance(item, dict) else [item]
        return [_rank(value) for value in values]

    return sorted(items, key=key)


def _rank(value: Json) -> tuple[int, float, str]:
    """Absent before numbers before text; text by code point. Comparable for any JSON value."""
    if value is None:
        return (0, 0, "")
    if isinstance(value, int | float):
        return (1, value, "")
    return (2, 0, value if isinstance(value, str) else repr(value))
