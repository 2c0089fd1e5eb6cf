"""An import of a table as its page and its report show it."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..models import OUTCOMES, TableImport
from ..protocol.rows import of_rows
from ..protocol.sheet import named_lines

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
    """Every row of an import, or the wrong ones; a row with several mistakes comes once for each. Its file is read as far
    as lines are taken, since its rows were judged when it came: a page of a hundred does not wait for 100,000."""
    wrong: dict[int, list[tuple[str, str]]] = {}
    for at, column, problem in of_rows(table.problems):
        wrong.setdefault(at, []).append((column, problem["message"]))
    last = max(wrong, default=-1)
    for at, line, about in named_lines(bytes(table.content), table.kind, wrong if wrong_only else None):
        outcome = OUTCOMES.get(table.plan[at : at + 1], "").replace("same", "unchanged")
        if at in wrong:
            for column, message in wrong[at]:
                yield TableLine(line, about, "wrong", column, message)
        else:
            yield TableLine(line, about, outcome)
        if wrong_only and at == last:
            return  # nothing below is wrong
