"""A table of templates or instances as spreadsheets write it (CSV): to rows with their lines. Pure.

Read are UTF-8 with or without its mark, commas, semicolons or tabs, and line breaks inside quotes; whatever else comes is
named. An empty cell says nothing. What our own lists write comes back as it was: `labels_cell`, `list_cell`.
"""

import csv
import io
import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from arm.errors import Invalid, Problem, TooLarge

from ..genome.reading import packed
from .common import value_of
from .rows import InstanceRow, Rows, TemplateRow, Unread, read_instances, read_templates

MAX_BYTES: Final = 20 * 1024 * 1024
MAX_ROWS: Final = 100_000
MAX_COLUMNS: Final = 64
"""A header is answered column by column."""
COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "templates": (
        "slug", "name", "description", "intended_use", "out_of_scope", "risk", "tags", "cost_center", "owners",
        "project",
    ),
    "instances": ("id", "version", "environment", "provider", "name", "role", "slot", "cost_center", "labels"),
}  # fmt: skip
REQUIRED: Final[Mapping[str, Sequence[str]]] = {
    "templates": ("slug", "name"),
    "instances": ("version", "environment", "provider", "name"),
}
SPOKEN: Final = {"cost_centre": "cost_center", "short_name": "slug"}
PASSED_OVER: Final[Mapping[str, frozenset[str]]] = {
    "templates": frozenset({"id", "created"}),
    "instances": frozenset({"agent", "wanted", "wanted_since", "reported", "heartbeat"}),
}
"""Columns of our own lists that no table sets."""
LISTS: Final = frozenset({"tags", "owners"})
ESCAPED: Final = re.compile(r"'+[=+\-@\t\r]")
"""How a cell begins that our own files have put an apostrophe before (`arm.views.base`)."""
OTHER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Sheet:
    """`lines` says in which line of the file each row begins, `names` what the row is about, as far as it says,
    `passed_over` which columns are there and not read."""

    kind: str
    lines: Sequence[int]
    names: Sequence[str]
    read: Rows[Any]
    passed_over: Sequence[str] = ()

    @property
    def total(self) -> int:
        return len(self.lines)

    def part(self, start: int, count: int) -> list[InstanceRow | TemplateRow]:
        """The rows that are right in themselves, of these places in the file."""
        return [row for row in self.read.rows if start <= row.at < start + count]


def read_sheet(data: bytes, kind: str) -> Sheet:
    """Read a file of `templates` or `instances`. Invalid where it is no such table, with the line; TooLarge beyond
    20 MiB or 100,000 rows. What is wrong with single rows is in `read.problems`."""
    header, columns, below = _opened(data, kind)
    found: list[Any] = []
    lines: list[int] = []
    for line, cells in below:
        found.append(_row(columns, cells, PASSED_OVER[kind]))
        lines.append(line)
    if not lines:
        _refuse("required", "The table has no rows below its header.")
    read: Rows[Any] = read_instances(found, known=True) if kind == "instances" else read_templates(found)
    names = [_about(row, kind) for row in found]
    over = [cell.strip() for cell, name in zip(header, columns, strict=True) if name in PASSED_OVER[kind]]
    return Sheet(kind, lines, names, read, over)


def named_lines(data: bytes, kind: str, only: Container[int] | None = None) -> Iterator[tuple[int, int, str]]:
    """Place, line and name of each row, or of those at `only` these places, of a file that `read_sheet` has taken. The
    file is read as far as it is asked for, and what its rows say is not judged anew."""
    _, columns, below = _opened(data, kind)
    for at, (line, cells) in enumerate(below):
        if only is None or at in only:
            yield at, line, _about(_row(columns, cells, PASSED_OVER[kind]), kind)


def _opened(data: bytes, kind: str) -> tuple[list[str], list[str], Iterator[tuple[int, list[str]]]]:
    """The header, its columns by their names, and what is below."""
    text = _decoded(data)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        header = next(reader, [])
    except csv.Error as problem:
        _refuse("syntax", f"Line {reader.line_num}: {_spoken(problem)}.")
    return header, _header(header, kind), _below(reader)


def _below(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows that say anything, each with the line of the file in which it begins."""
    count, last = 0, reader.line_num
    try:
        for cells in reader:
            line, last = last + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if count >= MAX_ROWS:
                raise TooLarge(f"The table has more than {MAX_ROWS:,} rows; divide it.")
            count += 1
            yield line, cells
    except csv.Error as problem:
        _refuse("syntax", f"Line {reader.line_num}: {_spoken(problem)}.")


def _about(row: Any, kind: str) -> str:
    """What the row is about, as far as it says."""
    name = "name" if kind == "instances" else "slug"
    return str(row.get(name, ""))[:200] if isinstance(row, dict) else ""


def labels_cell(labels: Mapping[str, str]) -> str:
    """`team=red, site=eu`, or JSON where that would not be read back as it is."""
    text = ", ".join(f"{key}={value}" for key, value in labels.items())
    return (
        text
        if not labels or _labels_in(text) == dict(labels)
        else json.dumps(dict(labels), ensure_ascii=False)
    )


def list_cell(words: Sequence[str]) -> str:
    """`mail finance`, or JSON where a word holds what divides words."""
    text = " ".join(words)
    return text if _words_in(text) == list(words) else json.dumps(list(words), ensure_ascii=False)


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
    if len(header) > MAX_COLUMNS:
        message = f"The header has {len(header):,} columns; at most {MAX_COLUMNS} are read."
        raise Invalid(
            "The table cannot be read.", [Problem(pointer="/columns", code="maxItems", message=message)]
        )
    names = [_name(cell) for cell in header]
    known = COLUMNS[kind]
    problems = [
        Problem(
            pointer=f"/columns/{n}", code="unknown", message=f"There is no column “{header[n][:60]}” here."
        )
        for n, name in enumerate(names)
        if name not in known and name not in PASSED_OVER[kind]
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


def _row(names: Sequence[str], cells: Sequence[str], over: frozenset[str]) -> Any:
    if len(cells) != len(names):
        return Unread(f"The row has {len(cells)} cells, the header {len(names)}.")
    return {name: value for name, value in _values(names, cells) if name not in over}


def _values(names: Sequence[str], cells: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(names, cells, strict=True):
        text = cell[1:] if ESCAPED.match(cell) else cell  # as our own files write it
        text = text.strip()
        if not text:
            continue
        if name in LISTS:
            yield name, _words_in(text)
        elif name == "labels":
            yield name, _labels_in(text)
        else:
            yield name, text


def _written(text: str) -> Any:
    """The JSON value, read as strictly as any document; Unread where it is none."""
    try:
        return value_of(text)
    except Invalid as refusal:
        return Unread(" ".join(dict.fromkeys(problem["message"] for problem in refusal.errors)))
    except TooLarge as refusal:
        return Unread(refusal.message)


def _words_in(text: str) -> Any:
    """A list of strings, as far as the cell says what it says in words or in JSON; Unread where it does not."""
    if not text.startswith("["):
        return [part for part in re.split(r"[,;|\s]+", text) if part]
    return _written(text)


def _labels_in(text: str) -> Any:
    """An object, as `_words_in`; Unread where a part is no pair or two have one name."""
    if text.startswith("{"):
        return _written(text)
    pairs = [part.partition("=") for part in re.split(r"[,;|]", text) if part.strip()]
    if not all(mark for _, mark, _ in pairs):
        return Unread("Must be pairs of “name=value” with commas between them, or a JSON object.")
    found = {key.strip(): value.strip() for key, _, value in pairs}
    return found if len(found) == len(pairs) else Unread("A name comes more than once.")


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
