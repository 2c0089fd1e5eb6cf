"""What rows that came in bulk come to."""

from dataclasses import dataclass, field
from typing import Any, Final

from arm.errors import Problem
from arm.models import User

from ..models import AgentTemplate
from ..protocol.rows import MOST_PROBLEMS

UNKNOWN: Final = "There is no such row, or it is not yours to use."


@dataclass(slots=True)
class Judged:
    """What the rows come to: for each good one what would happen, for the others why not."""

    create: list[Any] = field(default_factory=list)
    update: list[tuple[AgentTemplate, dict[str, Any], list[User]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    bad: int = 0
    outcomes: dict[int, str] = field(default_factory=dict)
    """Place of a good row → create, update or same."""

    def wrong(self, at: int, member: str, code: str, message: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            where = f"/rows/{at}/{member}" if member else f"/rows/{at}"
            self.problems.append(Problem(pointer=where, code=code, message=message))
