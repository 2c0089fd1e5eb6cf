"""Two genomes side by side, and one genome in a few words."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from registry.genome.checking import FLOATING
from registry.genome.reading import pointer
from registry.genome.schema import PROFILES, SCHEMA, Json
from registry.genome.sealing import normalise, prune

Path = tuple[str | int, ...]


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
    if old == new and type(old) is type(new):
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
    else:
        yield Change(pointer(path), "changed", old, new, f"{said}: {_short(old)} → {_short(new)}")


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
        text = value[:19] + "…" if value.startswith("sha256:") else value
        return text if len(text) <= 80 else text[:79] + "…"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "nothing"}[value]
    if isinstance(value, list):
        return (
            f"{len(value)} entries"
            if any(isinstance(v, dict | list) for v in value)
            else ", ".join(map(str, value))
        )
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(inner)}" for name, inner in list(value.items())[:4])
    return str(value)
