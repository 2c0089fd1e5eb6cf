"""What the exchange formats share: what is said beside a genome, what an import yields, and JSON inside a string."""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from arm.crypto import canonical
from arm.errors import Invalid, Problem

from ..genome import Json, missing, pointer, read, seal, wrong

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """How far this very genome has a capability: percent as a decimal, and the suite that found it."""

    capability: str
    percent: str
    by: str
    between: tuple[str, str] | None = None
    """The ends of the 95 % confidence interval, percent as decimals."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A version as an export says it beside its genome. `created` is RFC 3339; `digest` that of the genome."""

    name: str
    version: str
    description: str
    organisation: str
    version_id: str
    template_id: str
    digest: str
    created: str
    measured: tuple[Measured, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """What an imported file says. With `problems` nothing of it may be stored."""

    name: str
    description: str
    version_label: str
    document: dict[str, Json]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]


def text_of(value: Json) -> str:
    """A JSON value as the canonical text of it, for members of other formats that hold strings only."""
    return canonical(value).decode()


def said(values: dict[str, Json], prefix: str) -> list[dict[str, str]]:
    """Members as the `properties` of a BOM, each value canonical JSON."""
    return [{"name": f"{prefix}{name}", "value": text_of(value)} for name, value in sorted(values.items())]


def value_of(text: str) -> Json:
    """The JSON value that `text_of` has written, read as strictly as any document. Invalid."""
    held = read('{"value":' + text + "}", media_type="application/json").document
    if held.keys() != {"value"}:
        message = "Not one JSON value."
        raise Invalid(message, [Problem(pointer="", code="syntax", message=message)])
    return held["value"]


def written(document: Any) -> bytes:
    """JSON for people and for comparing: the same value is always the same bytes."""
    return (json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def changed_since(document: dict[str, Json], digest: str, path: Path) -> list[Problem]:
    """A problem where a file that carries our digest no longer holds what the digest was made of."""
    if not digest or seal(document).digest == digest:
        return []
    message = (
        "The file was changed after it was exported: what it holds does not yield this digest. "
        "Take the digest out to import it as something else."
    )
    return [Problem(pointer=pointer(path), code="tampered", message=message)]


def judged(document: dict[str, Json], placed: dict[str, str]) -> list[Problem]:
    """What is wrong with the genome that was read, at the places of the file that it was read from.

    `placed`: pointer into the genome → pointer into the file, for members that have one.
    """
    found = []
    for problem in wrong(document):
        at = problem["pointer"]
        parts = at.split("/")
        for length in range(len(parts), 1, -1):
            start = "/".join(parts[:length])
            if start in placed:
                at = placed[start]
                break
        found.append(Problem(pointer=at, code=problem["code"], message=problem["message"]))
    return found


def lacking(document: dict[str, Json]) -> str:
    """A note naming the required members that the file does not say; '' where it says them all."""
    filled = ("/schema", "/template")  # when it is stored
    absent = [p["pointer"][1:] for p in missing(document) if p["pointer"] not in filled]
    return f"The file does not say: {', '.join(absent)}. Add them before testing." if absent else ""


class _Plain(yaml.SafeDumper):
    """YAML without aliases: the reader of genomes takes none."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: _Plain, data: str) -> yaml.ScalarNode:
    """In double quotes where it would come back as something else: a number of YAML 1.2 that is none to YAML 1.1, which
    this writer speaks (`1e100`), or with breaks of Unicode, which are folded into spaces unless they are escaped."""
    risky = data[:1] in tuple("+-.0123456789") or any(mark in data for mark in "\x85\u2028\u2029")
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style='"' if risky else None)


_Plain.add_representer(str, _text)


def yaml_of(document: dict[str, Json]) -> bytes:
    """The document as YAML that `genome.read` takes back as the same values."""
    text: str = yaml.dump(document, Dumper=_Plain, allow_unicode=True, sort_keys=False, width=110)
    return text.encode()
