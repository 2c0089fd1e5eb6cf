"""An import of a table as its page and its report show it."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..models import OUTCOMES, TableImport
from ..protocol.rows import of_rows
from ..protocol.sheet import read_sheet

SHOWN = 100


@dataclass(frozen=True, slots=True)
class TableLine:
    """A row of the table: its line in the file, what it is about, what it would do, and for a wrong one where and why."""

    line: int
    about: str
    outcome: str
    column: str = ""
    message: str = ""


def table_lines(table: TableImport, *, wrong_only: bool = False) -> Iterator[TableLine]:
    """Every row of an import, or the wrong ones; a row with several mistakes comes once for each."""
    sheet = read_sheet(bytes(table.content), table.kind)
    wrong: dict[int, list[tuple[str, str]]] = {}
    for at, column, problem in of_rows(table.problems):
        wrong.setdefault(at, []).append((column, problem["message"]))
    for at, line in enumerate(sheet.lines):
        outcome = OUTCOMES.get(table.plan[at : at + 1], "")
        if at in wrong:
            for column, message in wrong[at]:
                yield TableLine(line, sheet.names[at], "wrong", column, message)
        elif not wrong_only:
            yield TableLine(line, sheet.names[at], outcome)
