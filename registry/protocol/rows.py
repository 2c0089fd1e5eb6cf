"""Rows of templates and instances as they come in bulk, from JSON or from a table: every wrong member of every row. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from arm import ids
from arm.errors import Problem
from arm.rights import Risk

from ..genome import pointer

MOST = 10_000
MOST_PROBLEMS = 1_000
MAX_LABELS, MAX_TAGS, MAX_OWNERS = 50, 32, 50
SLUG = re.compile(r"[-a-zA-Z0-9_]+")
ORDINAL = re.compile(r"[1-9][0-9]{0,3}")
NUMBERED = re.compile(r"([-a-zA-Z0-9_]{1,80})@([1-9][0-9]{0,8})")
UNWRITABLE = "The text holds U+0000 or half a surrogate pair."

Version = UUID | tuple[str, int]
"""The key of a version, or an agent's short name and the version's number."""
Slot = UUID | int
"""The key of a slot, or its number among those of the row's role, environment and provider."""


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """One instance to be provisioned. `at` is its place among the rows that came."""

    at: int
    version: Version
    environment: str
    provider: str
    name: str
    role: str = ""
    slot: Slot | None = None
    cost_center: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    id: UUID | None = None
    """Of an instance that is there already: the row then says what it is, and nothing is made."""


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """One agent to be registered or, where one of this short name is there, to be described so. What is None was not
    said."""

    at: int
    slug: str
    name: str
    description: str | None = None
    intended_use: str | None = None
    out_of_scope: str | None = None
    risk: Risk | None = None
    tags: Sequence[str] | None = None
    cost_center: str | None = None
    owners: Sequence[str] | None = None
    project: str | None = None
    """Short name; '' takes the agent out of its project."""


class Unread(str):
    """In place of a row or a cell that cannot be read as what it is: why."""


Row = TypeVar("Row", InstanceRow, TemplateRow)


@dataclass(slots=True)
class Rows(Generic[Row]):
    """What was read: the rows that are right in themselves, and what is wrong with the others."""

    rows: list[Row]
    problems: list[Problem]
    bad: int = 0


def read_instances(given: Sequence[Any], *, known: bool = False) -> Rows[InstanceRow]:
    """Rows of `version` (ver_… or short-name@number), `environment`, `provider`, `name`, and perhaps `role`, `slot`
    (slt_…, or the number of one of the role's slots there), `cost_center`, `labels`; with `known` also `id` (ins_…)."""
    beside = {"at"} if known else {"at", "id"}
    return _read(given, _instance, {name for name in InstanceRow.__slots__ if name not in beside})


def read_templates(given: Sequence[Any]) -> Rows[TemplateRow]:
    """Rows of `slug`, `name`, and perhaps what `TemplateRow` has beside them."""
    found = _read(given, _template, {name for name in TemplateRow.__slots__ if name != "at"})
    seen: dict[str, int] = {}
    for row in found.rows:
        if row.slug in seen and len(found.problems) < MOST_PROBLEMS:
            message = f"Row {seen[row.slug] + 1} has the same short name."
            found.bad += 1
            found.problems.append(Problem(pointer=f"/rows/{row.at}/slug", code="duplicate", message=message))
        seen.setdefault(row.slug, row.at)
    return found


def _read(given: Sequence[Any], one: Callable[["_Member"], Row], known: set[str]) -> Rows[Row]:
    found: Rows[Row] = Rows([], [])
    for at, row in enumerate(given):
        member = _Member(at, row if isinstance(row, Mapping) else {})
        if not isinstance(row, Mapping):
            member.wrong("", "type", str(row) if isinstance(row, Unread) else "Must be an object.")
            found.bad += 1
            found.problems += member.problems[: max(0, MOST_PROBLEMS - len(found.problems))]
            continue
        for name in member.row:
            if name not in known:
                member.wrong(str(name), "unknown", "Unknown member.")
        made = one(member)
        if member.problems:
            found.bad += 1
            found.problems += member.problems[: max(0, MOST_PROBLEMS - len(found.problems))]
        else:
            found.rows.append(made)
    return found


def _instance(member: "_Member") -> InstanceRow:
    return InstanceRow(
        at=member.at,
        version=member.version(),
        environment=member.slug("environment", 40),
        provider=member.slug("provider", 60),
        name=member.text("name", 160, required=True) or "",
        role=member.slug("role", 80, required=False),
        slot=member.slot(),
        cost_center=member.text("cost_center", 80) or "",
        labels=member.labels(),
        id=member.key("id", "ins"),
    )


def _template(member: "_Member") -> TemplateRow:
    return TemplateRow(
        at=member.at,
        slug=member.slug("slug", 80),
        name=member.text("name", 200, required=True) or "",
        description=member.text("description", 20_000),
        intended_use=member.text("intended_use", 20_000),
        out_of_scope=member.text("out_of_scope", 20_000),
        risk=member.risk(),
        tags=member.texts("tags", MAX_TAGS, 60),
        cost_center=member.text("cost_center", 80),
        owners=member.texts("owners", MAX_OWNERS, 150),
        project=member.project(),
    )


@dataclass(slots=True)
class _Member:
    at: int
    row: Mapping[str, Any]
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, name: str, code: str, message: str) -> None:
        where: list[str | int] = ["rows", self.at, *([name] if name else [])]
        self.problems.append(Problem(pointer=pointer(where), code=code, message=message))

    def text(self, name: str, most: int, *, required: bool = False) -> str | None:
        value = self.row.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if required:
                self.wrong(name, "required", "Must not be empty.")
            return None if value is None else ""
        if not isinstance(value, str):
            self.wrong(name, "type", "Must be a string.")
        elif len(value) > most:
            self.wrong(name, "maxLength", f"Must have at most {most:,} characters.")
        elif _unwritable(value):
            self.wrong(name, "text", UNWRITABLE)
        else:
            return value.strip()
        return None

    def slug(self, name: str, most: int, *, required: bool = True) -> str:
        value = self.text(name, most, required=required) or ""
        if value and not SLUG.fullmatch(value):
            self.wrong(name, "pattern", "A short name has letters, digits, “-” and “_”.")
        return value

    def project(self) -> str | None:
        """None where nothing is said of it."""
        return None if self.row.get("project") is None else self.slug("project", 60, required=False)

    def version(self) -> Version:
        value = self.text("version", 100, required=True) or ""
        if numbered := NUMBERED.fullmatch(value):
            return numbered[1], int(numbered[2])
        try:
            return ids.decode("ver", value)
        except ValueError:
            if value:
                self.wrong("version", "pattern", "Must be ver_…, or an agent's short name, “@” and a number.")
            return UUID(int=0)

    def key(self, name: str, prefix: str) -> UUID | None:
        value = self.text(name, 60)
        if not value:
            return None
        try:
            return ids.decode(prefix, value)
        except ValueError:
            self.wrong(name, "pattern", f"Must be {prefix}_…, or empty.")
            return None

    def slot(self) -> Slot | None:
        value = self.row.get("slot")
        if value is None or value == "":
            return None
        if isinstance(value, str | int) and not isinstance(value, bool):
            text = str(value).strip()
            if ORDINAL.fullmatch(text):
                if not self.row.get("role"):
                    self.wrong("role", "required", "A slot that is said by its number needs its role.")
                return int(text)
            try:
                return ids.decode("slt", text)
            except ValueError:
                pass
        self.wrong("slot", "pattern", "Must be slt_…, or the number of one of the role's slots.")
        return None

    def risk(self) -> Risk | None:
        value = self.text("risk", 8)
        if not value:
            return None
        if value not in Risk.values:
            self.wrong("risk", "enum", f"Must be one of {', '.join(Risk.values)}.")
            return None
        return Risk(value)

    def labels(self) -> Mapping[str, str]:
        value = self.row.get("labels")
        if value is None:
            return {}
        if isinstance(value, Unread):
            self.wrong("labels", "syntax", value)
        elif not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
            self.wrong("labels", "type", "Must be an object of strings.")
        elif said := why_no_labels(value, stands=bool(self.row.get("id"))):
            self.wrong("labels", *said)
        else:
            return dict(value)
        return {}

    def texts(self, name: str, most: int, longest: int) -> list[str] | None:
        value = self.row.get(name)
        if value is None:
            return None
        if isinstance(value, Unread):
            self.wrong(name, "syntax", value)
        elif not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            self.wrong(name, "type", "Must be a list of strings.")
        elif len(value) > most or any(len(text) > longest for text in value):
            self.wrong(name, "maxItems", f"At most {most} of at most {longest} characters.")
        elif any(_unwritable(text) for text in value):
            self.wrong(name, "text", UNWRITABLE)
        elif not all(text.strip() for text in value):
            self.wrong(name, "required", "A string in it is empty.")
        else:
            return [text.strip() for text in value]
        return None


def why_no_labels(labels: Mapping[str, str], *, stands: bool = False) -> tuple[str, str] | None:
    """Code and sentence of what is wrong with an instance's labels; None where nothing is. Lists are asked for `name=value`:
    a name with that sign in it would not be found. `stands`: of an instance that is there, whose row comes back as a list
    gave it."""
    if len(labels) > MAX_LABELS or any(len(text) > 200 for pair in labels.items() for text in pair):
        return "maxLength", f"At most {MAX_LABELS} labels of at most 200 characters."
    if any(_unwritable(text) for pair in labels.items() for text in pair):
        return "text", UNWRITABLE
    if not all(key.strip() for key in labels):
        return "required", "A label has no name."
    if not stands and any("=" in key for key in labels):
        return "pattern", "The name of a label has no “=”."
    return None


def _unwritable(text: str) -> bool:
    """Whether neither the database nor a file of UTF-8 could hold it."""
    return "\0" in text or (not text.isascii() and any("\ud800" <= mark <= "\udfff" for mark in text))


def of_rows(problems: Sequence[Problem]) -> Iterator[tuple[int, str, Problem]]:
    """(place of the row, member or '', problem) of each problem that is one of a row."""
    for problem in problems:
        _, _, rest = problem["pointer"].partition("/rows/")
        place, _, member = rest.partition("/")
        if place.isdigit():
            yield int(place), member, problem
