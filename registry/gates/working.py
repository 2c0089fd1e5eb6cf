"""What instances have begun and not ended, by whoever has seen it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from django.db.models import QuerySet

from arm.ports import implementations

from ..models import AgentInstance


class WorkInFlight(Protocol):
    """Port (settings.WORK_IN_FLIGHT): what instances have begun and not ended, as far as this app has seen."""

    def of(self, instances: Sequence[AgentInstance]) -> Mapping[UUID, Mapping[str, int]]:
        """How many of what, named in the plural, by the instance's key: {"jobs without an outcome": 3}."""
        ...


class Notes(Protocol):
    """What a port that is asked about every row of a list may do besides (settings.WORK_IN_FLIGHT, DRAINED_GATES)."""

    def noted(self, rows: QuerySet[AgentInstance]) -> QuerySet[AgentInstance]:
        """The same rows, each with what this app would have to ask the database for: `of` then asks nothing of them."""
        ...

    def ahead(self, instances: Sequence[AgentInstance]) -> None:
        """Ask once for what several ports of this app will, and keep it with each of these rows."""
        ...


def noted(rows: QuerySet[AgentInstance], *ports: Any) -> QuerySet[AgentInstance]:
    """Rows with what those of the ports that can have noted of them: one statement for all of it."""
    for port in ports:
        if hasattr(port, "noted"):
            rows = port.noted(rows)
    return rows


def begun_by(instance: AgentInstance) -> Mapping[str, int]:
    """How many of what is in flight, without what is none."""
    return instance.begun if instance.begun is not None else begun_by_all([instance])[instance.pk]


def begun_by_all(instances: Sequence[AgentInstance]) -> Mapping[UUID, Mapping[str, int]]:
    """The same of many, with one question to each port; kept with each of them for those who ask next."""
    found: dict[UUID, dict[str, int]] = defaultdict(dict)
    ports: Sequence[WorkInFlight] = implementations("WORK_IN_FLIGHT")
    for port in ports:
        for key, counts in port.of(instances).items():
            found[key] |= {name: count for name, count in counts.items() if count}
    return found


def read_ahead(instances: Sequence[AgentInstance]) -> None:
    """For a list: what all of them have in flight, kept with each."""
    for port in implementations("WORK_IN_FLIGHT"):
        if hasattr(port, "ahead"):
            port.ahead(instances)
    found = begun_by_all(instances)
    for instance in instances:
        instance.begun = found[instance.pk]
