"""A table of templates or instances as spreadsheets write it (CSV): to rows with their lines. Pure.

Read are UTF-8 with or without its mark, commas, semicolons or tabs, and line breaks inside quotes; whatever else comes is
named. An empty cell says nothing.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from arm.errors import Invalid, Problem, TooLarge

from ..genome.reading import packed
from .rows import InstanceRow, Rows, TemplateRow, Unread, read_instances, read_templates

MAX_BYTES: Final = 20 * 1024 * 1024
MAX_ROWS: Final = 100_000
COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "templates": (
        "slug", "name", "description", "intended_use", "out_of_scope", "risk", "tags", "cost_center", "owners",
    ),
    "instances": ("version", "environment", "provider", "name", "role", "slot", "cost_center", "labels"),
}  # fmt: skip
REQUIRED: Final[Mapping[str, Sequence[str]]] = {
    "templates": ("slug", "name"),
    "instances": ("version", "environment", "provider", "name"),
}
SPOKEN: Final = {"cost_centre": "cost_center", "short_name": "slug"}
PASSED_OVER: Final = frozenset({"id", "created"})
"""Columns of our own files of agents that nobody can set."""
LISTS: Final = frozenset({"tags", "owners"})
FORMULA: Final = ("'=", "'+", "'-", "'@", "'\t", "'\r")
OTHER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Sheet:
    """`lines` says in which line of the file each row begins, `names` what the row is about, as far as it says."""

    kind: str
    lines: Sequence[int]
    names: Sequence[str]
    read: Rows[Any]

    @property
    def total(self) -> int:
        return len(self.lines)

    def part(self, start: int, count: int) -> list[InstanceRow | TemplateRow]:
        """The rows that are right in themselves, of these places in the file."""
        return [row for row in self.read.rows if start <= row.at < start + count]


def read_sheet(data: bytes, kind: str) -> Sheet:
    """Read a file of `templates` or `instances`. Invalid where it is no such table, with the line; TooLarge beyond
    20 MiB or 100,000 rows. What is wrong with single rows is in `read.problems`."""
    text = _decoded(data)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    found: list[Any] = []
    lines: list[int] = []
    try:
        header = next(reader, [])
        columns = _header(header, kind)
        last = reader.line_num
        for cells in reader:
            line, last = last + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(lines) >= MAX_ROWS:
                raise TooLarge(f"The table has more than {MAX_ROWS:,} rows; divide it.")
            found.append(_row(columns, cells))
            lines.append(line)
    except csv.Error as problem:
        _refuse("syntax", f"Line {reader.line_num}: {_spoken(problem)}.")
    if not lines:
        _refuse("required", "The table has no rows below its header.")
    read: Rows[Any] = read_instances(found) if kind == "instances" else read_templates(found)
    about = "name" if kind == "instances" else "slug"
    names = [str(row.get(about, ""))[:200] if isinstance(row, dict) else "" for row in found]
    return Sheet(kind, lines, names, read)


def _decoded(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise TooLarge(f"The file has {len(data):,} bytes; at most {MAX_BYTES:,} are read.")
    if kind := packed(data):
        _refuse("packed", f"The file is packed ({kind}); save the table as CSV and send that.")
    if data.startswith(OTHER_MARKS):
        _refuse("encoding", "The file is UTF-16; save it as CSV in UTF-8.")
    if b"\0" in data:
        _refuse("encoding", "The file holds bytes that are no text; save the table as CSV in UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        _refuse("encoding", f"Line {line} is not UTF-8; save the table as CSV in UTF-8.")


def _delimiter(text: str) -> str:
    """Whichever the header uses."""
    header = re.sub(r'"[^"]*"', "", text.partition("\n")[0])
    return max(",;\t", key=lambda mark: (header.count(mark), mark == ","))


def _header(header: Sequence[str], kind: str) -> list[str]:
    names = [_name(cell) for cell in header]
    known = COLUMNS[kind]
    problems = [
        Problem(
            pointer=f"/columns/{n}", code="unknown", message=f"There is no column “{header[n][:60]}” here."
        )
        for n, name in enumerate(names)
        if name not in known and name not in PASSED_OVER
    ]
    problems += [
        Problem(pointer=f"/columns/{n}", code="duplicate", message=f"The column “{name}” comes twice.")
        for n, name in enumerate(names)
        if name in names[:n]
    ]
    problems += [
        Problem(pointer="/columns", code="required", message=f"The column “{name}” is missing.")
        for name in REQUIRED[kind]
        if name not in names
    ]
    if problems:
        raise Invalid(f"The header is not that of {kind}; its columns are {', '.join(known)}.", problems)
    return names


def _name(cell: str) -> str:
    name = re.sub(r"[\s-]+", "_", cell.strip().lower())
    return SPOKEN.get(name, name)


def _row(names: Sequence[str], cells: Sequence[str]) -> Any:
    if len(cells) != len(names):
        return Unread(f"The row has {len(cells)} cells, the header {len(names)}.")
    return {name: value for name, value in _values(names, cells) if name not in PASSED_OVER}


def _values(names: Sequence[str], cells: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(names, cells, strict=True):
        text = cell.removeprefix("'") if cell.startswith(FORMULA) else cell  # as our own files write it
        text = text.strip()
        if not text:
            continue
        if name in LISTS:
            yield name, [part for part in re.split(r"[,;|\s]+", text) if part]
        elif name == "labels":
            pairs = [part.partition("=") for part in re.split(r"[,;|]", text) if part.strip()]
            good = all(mark for _, mark, _ in pairs)
            yield name, {key.strip(): value.strip() for key, _, value in pairs} if good else text
        else:
            yield name, text


def _spoken(problem: csv.Error) -> str:
    words = str(problem)
    if "field larger" in words:
        return f"a cell has more than {csv.field_size_limit():,} characters"
    if "expected after" in words:
        return "a quoted cell goes on after its closing quote"
    if "unexpected end" in words:
        return "a quoted cell has no closing quote"
    return words


def _refuse(code: str, message: str) -> NoReturn:
    raise Invalid("The table cannot be read.", [Problem(pointer="", code=code, message=message)])
