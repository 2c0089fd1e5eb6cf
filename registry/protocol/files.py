"""A directory of YAML and JSON files that says what a registry should hold. Pure: the files come as bytes by name.

A file holds one thing, or several under `items`; each says its `kind`. A version names its genome in a file of its own,
or holds it.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from arm.errors import DomainError, Problem
from arm.rights import Risk

from ..genome import Json, read
from ..genome.members import Members
from .rows import SLUG

MOST_FILES: Final = 2_000
KINDS: Final[Mapping[str, frozenset[str]]] = {
    "environment": frozenset({"slug", "name", "production", "risk_default", "retention_days"}),
    "role": frozenset({"slug", "name", "purpose", "tier", "risk", "cost_center"}),
    "template": frozenset(
        {
            "slug",
            "name",
            "description",
            "intended_use",
            "out_of_scope",
            "risk",
            "tags",
            "cost_center",
            "owners",
        }
    ),
    "version": frozenset({"template", "genome", "label", "description"}),
    "slot": frozenset({"environment", "role", "provider", "ordinal"}),
}
"""What each kind may say, in the order in which they are made."""
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "environment": ("slug", "name"),
    "role": ("slug", "name"),
    "template": ("slug", "name"),
    "version": ("template", "genome"),
    "slot": ("environment", "role", "provider"),
}
SHORT_NAMES: Final = frozenset({"slug", "template", "environment", "role", "provider"})
WHOLE: Final = {"tier": (0, 5), "retention_days": (1, 3650), "ordinal": (1, 999)}


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
    genomes = {
        name for name, document in documents.items() if "kind" not in document and "schema" in document
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
    return found


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
        if said.get(member) in (None, "", {}):
            found.wrong(f"{where}/{member}", "required", "Must not be empty.")
    for member, value in said.items():
        if message := _flaw(member, value):
            found.wrong(f"{where}/{member}", "invalid", message)
    genome = said.get("genome")
    if isinstance(genome, str):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), genome))
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
    """What is wrong with a member in itself; what rows of templates are checked for is left to them."""
    if member in SHORT_NAMES:
        right = isinstance(value, str) and SLUG.fullmatch(value) and len(value) <= 80
        return "" if right else "A short name has letters, digits, “-” and “_”."
    if member in WHOLE:
        least, most = WHOLE[member]
        whole = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return "" if whole else f"Must be a whole number from {least} to {most}."
    if member == "production":
        return "" if isinstance(value, bool) else "Must be true or false."
    if member in ("risk", "risk_default"):
        return "" if value in Risk.values else f"Must be one of {', '.join(Risk.values)}."
    if member == "genome":
        return "" if isinstance(value, str | dict) else "Must be the name of a file, or a genome."
    if member in ("tags", "owners"):
        return ""
    return "" if isinstance(value, str) and len(value) <= 20_000 else "Must be a text."
