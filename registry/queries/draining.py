"""What drains, and what each still waits for before ARM retires it by itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from ..gates import Verdict
from ..gates.draining import noted, read_ahead, waits_for
from ..lifecycle import InstanceState
from ..models import AgentInstance


@dataclass(frozen=True, slots=True)
class Drains:
    """`waits_for`: as its page says; nothing where the next round retires it."""

    instance: AgentInstance
    waits_for: tuple[Verdict, ...]

    @property
    def said(self) -> str:
        """Why it is not retired yet, in words."""
        return " ".join(verdict.reason for verdict in self.waits_for) or NEXT_ROUND


NEXT_ROUND = "Nothing any more: the next round retires it."


def all_draining() -> QuerySet[AgentInstance]:
    """Every instance that drains, with what its row shows."""
    rows = AgentInstance.objects.filter(state=InstanceState.DRAINING).for_list()
    found: QuerySet[AgentInstance] = rows.select_related(
        "template",
        "version__template",
        "environment",
        "provider",
        "status",
        "slot__role",
        "slot__environment",
    )
    return found


def with_why(rows: QuerySet[AgentInstance]) -> QuerySet[AgentInstance]:
    """Rows of a list that says of each what it waits for: what that takes comes with them."""
    return noted(rows)


def why_not_retired(instances: Sequence[AgentInstance]) -> list[Drains]:
    """Each with what it waits for; what all of them have in flight, and what else holds them, is asked at once."""
    read_ahead(instances)
    return told(instances)


def told(instances: Sequence[AgentInstance]) -> list[Drains]:
    """The same of those of which it was read ahead."""
    return [Drains(one, tuple(waits_for(one))) for one in instances]
