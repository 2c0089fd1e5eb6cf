"""A directory of YAML and JSON files that says what a registry should hold. Pure: the files come as bytes by name.

A file holds one thing, or several under `items`; each says its `kind`. A version names its genome in a file of its own,
or holds it.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from arm.errors import DomainError, Problem
from arm.rights import Risk

from ..genome import Json, read
from ..genome.members import Members
from .rows import SLUG

MOST_FILES: Final = 2_000
BUDGETS: Final = ("budget_per_day", "budget_per_month", "budget_per_outcome")
KINDS: Final[Mapping[str, frozenset[str]]] = {
    "environment": frozenset(
        {
            "slug",
            "name",
            "production",
            "risk_default",
            "retention_days",
            "aggregate_days",
            "cost_tags",
            "position",
        }
    ),
    "project": frozenset({"slug", "name", "cost_center"}),
    "role": frozenset(
        {
            *("slug", "name", "purpose", "tier", "risk", "cost_center", "capabilities", "certifications"),
            *(*BUDGETS, "currency", "success_rate", "latency_ms", "availability", "coverage", "failover"),
            "approvals",
        }
    ),
    "template": frozenset(
        {
            "slug",
            "name",
            "description",
            "intended_use",
            "out_of_scope",
            "risk",
            "tags",
            "project",
            "cost_center",
            "owners",
        }
    ),
    "version": frozenset({"template", "genome", "label", "description", "parents"}),
    "slot": frozenset({"environment", "role", "provider", "ordinal"}),
}
"""What each kind may say, in the order in which they are made."""
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "environment": ("slug", "name"),
    "project": ("slug", "name"),
    "role": ("slug", "name"),
    "template": ("slug", "name"),
    "version": ("template", "genome"),
    "slot": ("environment", "role", "provider"),
}
SHORT_NAMES: Final = frozenset({"slug", "template", "environment", "role", "provider"})
WHOLE: Final = {
    "tier": (0, 5),
    "retention_days": (1, 3650),
    "aggregate_days": (1, 3650),
    "position": (1, 999),
    "ordinal": (1, 999),
    "approvals": (1, 9),
}
LONGEST: Final = {
    ("environment", "slug"): 40,
    ("environment", "name"): 120,
    ("project", "slug"): 60,
    ("project", "name"): 160,
    ("project", "cost_center"): 80,
    ("role", "name"): 160,
    ("role", "cost_center"): 80,
    ("role", "currency"): 3,
    ("version", "label"): 80,
}
"""Characters that are kept of a text; rows of templates know their own."""
ONCE: Final = frozenset({"environment", "project", "role"})
"""What two places of a directory cannot both say: the second would change what the first has made, each time anew."""
PLACES: Final = {**dict.fromkeys(BUDGETS, (12, 6)), "success_rate": (3, 3), "availability": (3, 3)}
"""Decimals: how many figures before and after the point are kept of each."""
MAY_END: Final = frozenset(PLACES) | {"latency_ms"}
"""What an empty text takes away from a role."""
PARENT: Final = "A parent is the label or digest of a version of the same agent, or {template, and label, digest or number}."


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that the directory names. `where` is its file, and the place in it."""

    where: str
    kind: str
    body: Mapping[str, Any]


@dataclass(slots=True)
class Files:
    """What was read; with `problems` nothing of it may be applied. A pointer is `file#/place`."""

    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, where: str, code: str, message: str) -> None:
        self.problems.append(Problem(pointer=where, code=code, message=message))


def read_files(files: Mapping[str, bytes]) -> Files:
    """Read them all; every mistake of every file is named, with the line where the file cannot be read at all."""
    found = Files()
    documents: dict[str, dict[str, Json]] = {}
    for name in sorted(files):
        try:
            media_type = "application/json" if name.endswith(".json") else "application/yaml"
            documents[name] = read(files[name], media_type=media_type).document
        except DomainError as refusal:
            errors: Any = refusal.extra.get("errors") or [
                {"pointer": "", "code": refusal.code, "message": refusal.message}
            ]
            for error in errors:
                found.wrong(f"{name}#{error['pointer']}", error["code"], error["message"])
    named = _genomes_named(documents)
    genomes = {
        name
        for name, document in documents.items()
        if "kind" not in document and ("schema" in document or (name in named and "items" not in document))
    }
    used: set[str] = set()
    for name, document in documents.items():
        if name in genomes:
            continue
        for where, body in _things(name, document, found):
            if item := _item(name, where, body, documents, genomes, used, found):
                found.items.append(item)
    for name in sorted(genomes - used):
        found.wrong(f"{name}#", "unused", "No version names this genome.")
    found.items.sort(key=lambda item: list(KINDS).index(item.kind))
    _refuse_twice(found)
    return found


def _refuse_twice(found: Files) -> None:
    before: dict[tuple[str, str], str] = {}
    for item in found.items:
        if item.kind in ONCE:
            first = before.setdefault((item.kind, item.body["slug"]), item.where)
            if first != item.where:
                message = f"{first} says what this {item.kind} is."
                found.wrong(f"{item.where}/slug", "duplicate", message)


def _genomes_named(documents: Mapping[str, dict[str, Json]]) -> set[str]:
    """The files that versions name, whatever stands in them: a genome need not say its schema."""
    found = set()
    for name, document in documents.items():
        listed = document.get("items", [document])
        for body in listed if isinstance(listed, list) else ():
            if isinstance(body, dict) and isinstance(genome := body.get("genome"), str):
                found.add(_beside(name, genome))
    return found


def _beside(name: str, other: str) -> str:
    """The file that one names by its path from where it lies."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), other))


def _things(name: str, document: dict[str, Json], found: Files) -> Iterator[tuple[str, dict[str, Json]]]:
    if "items" not in document:
        yield f"{name}#", document
        return
    listed = Members(document)
    for at, one in listed.objects(document, "items", most=10_000):
        yield f"{name}#/items/{at[-1]}", one
    for problem in listed.problems:
        found.wrong(f"{name}#{problem['pointer']}", problem["code"], problem["message"])
    for other in sorted(document.keys() - {"items"}):
        found.wrong(f"{name}#/{other}", "unknown", "A file with “items” says nothing beside them.")


def _item(
    name: str,
    where: str,
    body: dict[str, Json],
    documents: Mapping[str, dict[str, Json]],
    genomes: set[str],
    used: set[str],
    found: Files,
) -> Item | None:
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        found.wrong(f"{where}/kind", "enum", f"Must be one of {', '.join(KINDS)}.")
        return None
    said = {member: value for member, value in body.items() if member != "kind" and value is not None}
    before = len(found.problems)
    for member in sorted(said.keys() - KINDS[kind]):
        found.wrong(f"{where}/{member}", "unknown", f"A {kind} has no such member.")
    for member in NEEDED[kind]:
        value = said.get(member)
        if value in (None, {}) or (isinstance(value, str) and not value.strip()):
            found.wrong(f"{where}/{member}", "required", "Must not be empty.")
    for member, value in said.items():
        longest = LONGEST.get((kind, member))
        if longest and isinstance(value, str) and len(value) > longest:
            found.wrong(f"{where}/{member}", "maxLength", f"Must have at most {longest} characters.")
        elif message := _flaw(member, value):
            found.wrong(f"{where}/{member}", "invalid", message)
    genome = said.get("genome")
    if isinstance(genome, str):
        target = _beside(name, genome)
        if target in genomes:
            used.add(target)
            said["genome"] = documents[target]
        elif target not in documents:
            found.wrong(
                f"{where}/genome",
                "unknown",
                f"There is no file “{target}” in the directory, or it cannot be read.",
            )
        else:
            found.wrong(f"{where}/genome", "invalid", f"“{target}” is no genome.")
    return Item(where, kind, said) if len(found.problems) == before else None


def _flaw(member: str, value: Json) -> str:
    """What is wrong with a member in itself; what its service or rows of templates are checked for is left to them."""
    if member in MAY_END and value == "":
        return ""
    if member in SHORT_NAMES:
        right = isinstance(value, str) and SLUG.fullmatch(value) and len(value) <= 80
        return "" if right else "A short name has letters, digits, “-” and “_”."
    if member in WHOLE:
        least, most = WHOLE[member]
        whole = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return "" if whole else f"Must be a whole number from {least} to {most}."
    if member in PLACES:
        return _decimal_flaw(value, *PLACES[member])
    if member in ("production", "failover"):
        return "" if isinstance(value, bool) else "Must be true or false."
    if member in ("risk", "risk_default"):
        return "" if value in Risk.values else f"Must be one of {', '.join(Risk.values)}."
    if member == "genome":
        return "" if isinstance(value, str | dict) else "Must be the name of a file, or a genome."
    if member == "parents":
        return "" if isinstance(value, list) and all(map(parent_of, value)) else PARENT
    if member == "owners" and value == []:
        return "An agent has an owner: name one, or leave this out."
    if member == "cost_tags":
        right = isinstance(value, dict) and all(
            name.strip() and len(name) <= 200 and isinstance(text, str) and len(text) <= 200
            for name, text in value.items()
        )
        return "" if right else "Names and texts, each of at most 200 characters."
    if member in JUDGED:
        return ""
    return "" if isinstance(value, str) and len(value) <= 20_000 else "Must be a text."


JUDGED: Final = frozenset(
    {"tags", "owners", "project", "capabilities", "certifications", "coverage", "latency_ms"}
)
"""Left to those who know what stands in the registry."""


def _decimal_flaw(value: Json, whole: int, places: int) -> str:
    try:
        number = decimal_of(value)
    except (InvalidOperation, TypeError):
        return "Must be a number."
    if not number.is_finite() or abs(number) >= 10**whole or number != round(number, places):
        return f"Must be a number of at most {whole} figures, and {places} behind the point."
    return ""


def decimal_of(value: Json) -> Decimal:
    """A number, or the text of one. TypeError or InvalidOperation for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return Decimal(str(value))


@dataclass(frozen=True, slots=True)
class Parent:
    """A version that another comes from; one of `label`, `digest` and `number`. No `template`: of the same agent."""

    template: str = ""
    label: str = ""
    digest: str = ""
    number: int = 0


def parent_of(value: Json) -> Parent | None:
    """What a member of `parents` names; None where it names nothing."""
    if isinstance(value, str):
        if DIGEST.fullmatch(value):
            return Parent(digest=value)
        return Parent(label=value) if value else None
    if not isinstance(value, dict) or len(value.keys() - {"template"}) != 1:
        return None
    slug, number = value.get("template", ""), value.get("number", 1)
    if not isinstance(slug, str) or ("template" in value and not SLUG.fullmatch(slug)):
        return None
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        return None
    texts = {name: value[name] for name in ("label", "digest") if name in value}
    if not all(isinstance(text, str) and text for text in texts.values()):
        return None
    if not texts and "number" not in value:
        return None
    return Parent(slug, texts.get("label", ""), texts.get("digest", ""), 0 if texts else number)


DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
