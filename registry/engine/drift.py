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
    found = [*_tools(before, after), *_skills(before, after), *_sign_in(before, after)]
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


def _sign_in(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Drift]:
    """How callers sign in. Who came in by one of the alternatives that there were must still come in by it."""
    was, now = before.get("security") or {}, after.get("security") or {}
    old, new = _by(was, "schemes", "name"), _by(now, "schemes", "name")
    for name in old.keys() - new.keys():
        yield Drift("sign-in removed", name, True, f"Callers no longer sign in by {name}.")
    for name in new.keys() - old.keys():
        yield Drift("sign-in added", name, False, f"Callers may sign in by {name}, which is new.")
    for name in old.keys() & new.keys():
        if _without_words(old[name]) != _without_words(new[name]):
            yield Drift("sign-in changed", name, True, f"Signing in by {name} works in another way.")
    had, has = _alternatives(was), _alternatives(now)
    if has and not had:
        yield Drift("sign-in required", "", True, "Callers have to sign in, who did not before.")
    if had and not has:
        yield Drift("sign-in dropped", "", True, "Callers need not sign in any more.")
    for way in had:
        if has and not any(_within(other, way) for other in has):
            yield Drift(
                "sign-in required",
                ", ".join(sorted(way)),
                True,
                f"Who signs in by {_said(way)} is asked for more.",
            )


def _without_words(scheme: Mapping[str, Json]) -> dict[str, Json]:
    """What of a scheme a caller's program depends on."""
    kept = {name: value for name, value in scheme.items() if name not in ("description", "flows")}
    flows = {
        flow.get("kind"): {k: v for k, v in flow.items() if k not in ("kind", "scopes")}
        for flow in scheme.get("flows") or ()
        if isinstance(flow, Mapping)
    }
    return kept | {"flows": flows}


def _alternatives(security: Mapping[str, Json]) -> list[dict[str, frozenset[str]]]:
    """Each way to sign in: scheme → the scopes that it takes."""
    return [
        {str(one["scheme"]): frozenset(one.get("scopes") or ()) for one in way.get("all_of") or ()}
        for way in security.get("requirements") or ()
        if isinstance(way, Mapping)
    ]


def _within(asked: Mapping[str, frozenset[str]], held: Mapping[str, frozenset[str]]) -> bool:
    return all(name in held and scopes <= held[name] for name, scopes in asked.items())


def _said(way: Mapping[str, frozenset[str]]) -> str:
    if not way:
        return "nothing"
    return " and ".join(
        f"{name} ({', '.join(sorted(scopes))})" if scopes else name for name, scopes in way.items()
    )
