"""What every page of the directory shows beside its subject: changes, owners, counts by state."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, QuerySet

from arm import clock
from arm.models import ChangeRecord, User
from arm.rights import Right

from ..gates import certainties
from ..lifecycle import InstanceState
from ..models import AgentInstance, AgentTemplate

SHOWN = 10
"""Rows of a related table on a page; the rest is behind its link."""


def owners(template: AgentTemplate) -> tuple[User, ...]:
    """Who answers for the agent now."""
    held = template.ownerships.filter(until=None).select_related("user").order_by("since")
    return tuple(ownership.user for ownership in held)


def changes_of(subject: Any, rights: frozenset[Right]) -> tuple[ChangeRecord, ...]:
    """The newest change records about a row, for whoever may see the row."""
    if Right.READ_AUDIT not in rights and Right.READ_DIRECTORY not in rights:
        return ()
    return tuple(ChangeRecord.objects.about(subject)[:SHOWN])


def by_state(rows: QuerySet[AgentInstance]) -> tuple[tuple[str, str, int], ...]:
    """(state, its label, how many) in the order of the lifecycle, without the empty ones."""
    counted = dict(rows.order_by().values_list("state").annotate(n=Count("pk")))
    return tuple((state.value, state.label, counted[state]) for state in InstanceState if state in counted)


def with_staleness(rows: Iterable[AgentInstance]) -> tuple[tuple[AgentInstance, bool], ...]:
    """Each instance with whether it is silent for too long, and how its state is known as its `certainty`; needs
    `status` and `provider`."""
    now, found = clock.now(), tuple(rows)
    known = certainties(found)
    for row in found:
        row.certainty = known.get(row.pk, "")
    return tuple((row, row.is_stale(now)) for row in found)
