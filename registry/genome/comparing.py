"""Two genomes side by side, and one genome in a few words."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from registry.genome.checking import FLOATING
from registry.genome.kinds import Json
from registry.genome.reading import pointer
from registry.genome.schema import PROFILES, SCHEMA
from registry.genome.sealing import normalise, prune

Path = tuple[str | int, ...]
WIDTH = 80
"""Characters of a value in the words of a difference."""
MOST = 20
"""Entries of a list that are compared one by one."""
_NONE = object()


@dataclass(frozen=True)
class Change:
    """One field that differs. `pointer` leads into the newer genome, or into the older one for “removed”."""

    pointer: str
    kind: str
    before: Json
    after: Json
    words: str


@dataclass(frozen=True)
class Model:
    role: str
    label: str
    floating: bool


@dataclass(frozen=True)
class Summary:
    """A genome for a page. `tools` is None while nobody said which tools there are; counts are by risk class."""

    models: tuple[Model, ...]
    prompts: tuple[str, ...]
    tools: dict[str, int] | None
    tool_count: int
    servers: tuple[str, ...]
    autonomy_tier_max: int | None
    source: str
    profiles: dict[str, bool]

    @property
    def primary(self) -> Model | None:
        return next((model for model in self.models if model.role == "primary"), None)


def summary(genome: dict[str, Json]) -> Summary:
    """What a page shows of a genome without wrong members; it may be incomplete."""
    held = normalise(genome)
    provenance = held.get("provenance", {})
    tools = held.get("tools")
    ranked = sorted(held.get("models", ()), key=lambda model: bool(model["role"] != "primary"))
    return Summary(
        models=tuple(_model(model) for model in ranked),
        prompts=tuple(prompt["role"] for prompt in held.get("prompts", ())),
        tools=None if tools is None else _by_risk(tools),
        tool_count=len(tools or ()),
        servers=tuple(sorted({tool["server"] for tool in tools or () if "server" in tool})),
        autonomy_tier_max=held.get("behavior", {}).get("autonomy_tier_max"),
        source=f"{provenance['source_repo']} @ {provenance['commit'][:12]}" if provenance else "",
        profiles={name: name in prune(genome) for name in PROFILES},
    )


def _model(model: dict[str, Json]) -> Model:
    label = f"{model['provider']} {model['name']} ({model['revision']})"
    return Model(model["role"], label, model["revision"].lower() in FLOATING)


def _by_risk(tools: list[dict[str, Json]]) -> dict[str, int]:
    counts = Counter(tool["risk"] for tool in tools)
    return {risk: counts[risk] for risk in ("GREEN", "YELLOW", "RED")}


def diff(before: dict[str, Json], after: dict[str, Json]) -> list[Change]:
    """Every field that differs between two genomes, in the order of the schema. Empty for equal digests."""
    return list(_compared(normalise(before), normalise(after), SCHEMA, (), ""))


def _compared(old: Json, new: Json, rule: dict[str, Json], path: Path, said: str) -> Iterator[Change]:
    if same(old, new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        rules = rule.get("properties", {})
        names = [
            *(name for name in rules if name in old or name in new),
            *sorted((old | new).keys() - rules.keys()),
        ]
        for name in names:
            inner = f"{said}, {_word(name)}" if said else _word(name)
            yield from _member(old, new, name, rules.get(name, {}), (*path, name), inner)
    elif isinstance(old, list) and isinstance(new, list) and "x-arm-set" in rule:
        yield from _items(old, new, rule, path, said)
    elif isinstance(old, list) and isinstance(new, list) and (_nested(old) or _nested(new)):
        yield from _entries(old, new, path, said)
    else:
        before, after = _two(old, new)
        yield Change(pointer(path), "changed", old, new, f"{said}: {before} → {after}")


def _member(
    old: dict[str, Json], new: dict[str, Json], name: str, rule: dict[str, Json], path: Path, said: str
) -> Iterator[Change]:
    if name not in new:
        yield Change(pointer(path), "removed", old[name], None, f"{said} removed: {_short(old[name])}")
    elif name not in old:
        yield Change(pointer(path), "added", None, new[name], f"{said} added: {_short(new[name])}")
    else:
        yield from _compared(old[name], new[name], rule, path, said)


def _items(
    old: list[Json], new: list[Json], rule: dict[str, Json], path: Path, said: str
) -> Iterator[Change]:
    was, now = keyed(old, rule["x-arm-set"]), keyed(new, rule["x-arm-set"])
    for key, (index, item) in was.items():
        label = _label(said, item)
        if key not in now:
            yield Change(pointer((*path, index)), "removed", item, None, f"{label} removed")
        else:
            place, other = now[key]
            yield from _compared(item, other, rule["items"], (*path, place), label)
    for key, (index, item) in now.items():
        if key not in was:
            yield Change(pointer((*path, index)), "added", None, item, f"{_label(said, item)} added")


def _nested(items: list[Json]) -> bool:
    return any(isinstance(item, dict | list) for item in items)


def _entries(old: list[Json], new: list[Json], path: Path, said: str) -> Iterator[Change]:
    """By place, between what both begin and end with; at most `MOST` places, so that a long list stays readable."""
    start, end = 0, 0
    while start < min(len(old), len(new)) and same(old[start], new[start]):
        start += 1
    while end < min(len(old), len(new)) - start and same(old[-1 - end], new[-1 - end]):
        end += 1
    was, now = old[start : len(old) - end], new[start : len(new) - end]
    places = [place for place, pair in enumerate(zip_longest(was, now, fillvalue=_NONE)) if not _alike(*pair)]
    for place in places[:MOST]:
        where, label = (*path, start + place), f"{said}, entry {start + place + 1}"
        if place >= len(now):
            yield Change(
                pointer(where), "removed", was[place], None, f"{label} removed: {_short(was[place])}"
            )
        elif place >= len(was):
            yield Change(pointer(where), "added", None, now[place], f"{label} added: {_short(now[place])}")
        else:
            yield from _compared(was[place], now[place], {}, where, label)
    if more := len(places[MOST:]):
        verb = "entry differs" if more == 1 else "entries differ"
        yield Change(pointer(path), "changed", old, new, f"{said}: {more} more {verb}")


def _alike(old: Any, new: Any) -> bool:
    return old is not _NONE and new is not _NONE and same(old, new)


def same(old: Json, new: Json) -> bool:
    """As JSON sees it: 1 and true differ, and so do values that hold them."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(same(old[name], new[name]) for name in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(same, old, new))
    return bool(old == new)


def keyed(items: list[Json], by: list[str]) -> dict[Any, tuple[int, Json]]:
    """Items by their key in the set, each with its place; several with one key (fallbacks without order) are told apart by place."""
    seen: Counter[Any] = Counter()
    keyed = {}
    for index, item in enumerate(items):
        key = tuple(item.get(name) for name in by) if by else item
        keyed[key, seen[key]] = (index, item)
        seen[key] += 1
    return keyed


_SINGULAR = {
    "models": "model",
    "prompts": "prompt",
    "tools": "tool",
    "data_sources": "data source",
    "skills": "skill",
}


def _label(said: str, item: Json) -> str:
    if not isinstance(item, dict):
        return f"{said} “{item}”"
    noun = _SINGULAR.get(said.lower().replace(" ", "_"), said)
    if "role" in item:
        order = f" {item['order']}" if "order" in item else ""
        return f"{item['role'].capitalize()} {noun}{order}"
    name = item.get("name") or item.get("id") or _short(item.get("digest"))
    return f"{noun.capitalize()} {name}"


def _word(name: str) -> str:
    return "PII" if name == "pii" else name if name.startswith("x_") else name.replace("_", " ").capitalize()


def _short(value: Json) -> str:
    if isinstance(value, str):
        return _cut(value[:19] + "…" if value.startswith("sha256:") else value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "nothing"}[value]
    if isinstance(value, list):
        if _nested(value):
            return "1 entry" if len(value) == 1 else f"{len(value)} entries"
        return _cut(", ".join(map(_short, value)))
    if isinstance(value, dict):
        shown = [f"{name} {_short(inner)}" for name, inner in list(value.items())[:4]]
        return ", ".join([*shown, "…"] if len(value) > 4 else shown)
    return str(value)


def _cut(text: str, start: int = 0) -> str:
    """At most `WIDTH` characters of it, from `start`."""
    held = ("…" if start else "") + text[start:]
    return held if len(held) <= WIDTH else held[: WIDTH - 1] + "…"


def _two(old: Json, new: Json) -> tuple[str, str]:
    """Two values that differ, so that a reader sees in what: where their beginnings read the same, from a little before
    the first character that does not; as JSON where they are different things in the same words, like true and “yes”."""
    before, after = _short(old), _short(new)
    if before != after:
        return before, after
    if isinstance(old, str) and isinstance(new, str):
        before, after = old, new
    else:
        before, after = (json.dumps(value, ensure_ascii=False, sort_keys=True) for value in (old, new))
    first = next((n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), None)
    first = min(len(before), len(after)) if first is None else first
    start = max(0, first - WIDTH // 4) if first >= WIDTH // 2 else 0
    return _cut(before, start), _cut(after, start)
