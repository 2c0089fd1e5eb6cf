"""What callers and tools would notice if one genome took another's place: tools, skills, what is spoken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Any
_RISKS = ("GREEN", "YELLOW", "RED")


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference. `breaking` is what a person must have acknowledged before it is rolled out."""

    kind: str
    name: str
    breaking: bool
    sentence: str


def drift(before: Mapping[str, Json], after: Mapping[str, Json]) -> tuple[Drift, ...]:
    """Every difference between two genomes that somebody outside would notice, breaking ones first."""
    found = [*_tools(before, after), *_skills(before, after)]
    return tuple(sorted(found, key=lambda one: (not one.breaking, one.kind, one.name)))


def _by(document: Mapping[str, Json], member: str, key: str) -> dict[str, Mapping[str, Json]]:
    return {str(item[key]): item for item in document.get(member) or () if isinstance(item, Mapping)}


def _tools(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Drift]:
    old, new = _by(before, "tools", "name"), _by(after, "tools", "name")
    for name in old.keys() - new.keys():
        yield Drift("tool removed", name, True, f"The tool {name} is gone.")
    for name in new.keys() - old.keys():
        risk = new[name].get("risk", "unknown")
        yield Drift("tool added", name, risk == "RED", f"The tool {name} is new ({risk}).")
    for name in old.keys() & new.keys():
        was, now = old[name], new[name]
        if was.get("schema_digest") != now.get("schema_digest"):
            yield Drift("tool schema", name, True, f"The schema of the tool {name} is another one.")
        if _rank(now) > _rank(was):
            said = f"The risk of the tool {name} rises from {was.get('risk')} to {now.get('risk')}."
            yield Drift("tool risk", name, True, said)
        if more := sorted(set(now.get("scopes") or ()) - set(was.get("scopes") or ())):
            yield Drift("tool scopes", name, True, f"The tool {name} asks for more: {', '.join(more)}.")
        if was.get("kind") != now.get("kind"):
            said = f"The tool {name} is reached by {now.get('kind')}, no longer by {was.get('kind')}."
            yield Drift("tool kind", name, False, said)


def _rank(tool: Mapping[str, Json]) -> int:
    risk = tool.get("risk")
    return _RISKS.index(risk) if risk in _RISKS else len(_RISKS)


def _skills(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Drift]:
    """The API contract: what an agent offers, in which media types it takes and answers."""
    old, new = _by(before, "skills", "id"), _by(after, "skills", "id")
    for name in old.keys() - new.keys():
        yield Drift("skill removed", name, True, f"The skill {name} is no longer offered.")
    for name in new.keys() - old.keys():
        yield Drift("skill added", name, False, f"The skill {name} is new.")
    for name in old.keys() & new.keys():
        for member, verb in (("input_modes", "takes"), ("output_modes", "answers")):
            had, has = set(old[name].get(member) or ()), set(new[name].get(member) or ())
            if lost := sorted(had - has):
                said = f"The skill {name} no longer {verb} {', '.join(lost)}."
                yield Drift("skill modes", name, True, said)
            if gained := sorted(has - had):
                said = f"The skill {name} also {verb} {', '.join(gained)}."
                yield Drift("skill modes", name, False, said)
