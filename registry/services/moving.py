"""Many instances of a slot moved in one act, set-based: a slot may have a thousand of them. Callers have asked the right."""

from collections.abc import Sequence
from typing import Any

from django.db.models import F

from arm import changes, clock, tasks
from arm.inserting import insert_all
from arm.keys import Among
from arm.models import User

from .. import gates
from ..lifecycle import InstanceState
from ..models import AgentInstance, InstanceInterval


def move_all(
    rows: Sequence[AgentInstance], to: InstanceState, verb: str, actor: User | None, reason: str
) -> None:
    """The locked instances in another state, with an interval and a record for each. What drains here was replaced, or its
    slot left its version: it leaves."""
    if not rows:
        return
    now, ids = clock.now(), tuple(row.pk for row in rows)
    AgentInstance.objects.filter(Among("pk", ids)).update(
        state=to,
        state_since=now,
        generation=F("generation") + 1,
        leaving=to == InstanceState.DRAINING,
        restricted_by_id=actor.pk if actor else None,
    )
    InstanceInterval.objects.filter(Among("instance", ids), until=None).update(until=now)
    changed = []
    for row in rows:
        before: dict[str, Any] = {"state": row.state, "generation": row.generation}
        row.state, row.state_since, row.generation = to, now, row.generation + 1
        row.leaving = to == InstanceState.DRAINING
        changed.append(changes.Change(row, before, {"state": to.value, "generation": row.generation}))
    open_intervals(rows)
    tell_all(verb, changed, rows, actor, reason)


def open_intervals(rows: Sequence[AgentInstance]) -> None:
    insert_all(
        [
            InstanceInterval(
                tenant_id=row.tenant_id,
                instance_id=row.pk,
                state=row.state,
                version_id=row.version_id,
                since=row.state_since,
                known_from=row.state_since,
            )
            for row in rows
        ]
    )


def tell_all(
    verb: str,
    changed: Sequence[changes.Change],
    rows: Sequence[AgentInstance],
    actor: User | None,
    reason: str,
) -> None:
    """A record for each, news for each, and one word to whoever must hear that else is wanted."""
    if not rows:
        return
    records = changes.record_all(actor, verb, changed, reason=reason)
    for row, record in zip(rows, records, strict=True):
        tasks.announce(
            "registry.instance.moved",
            tenant_id=row.tenant_id,
            instance_id=str(row.pk),
            change_id=str(record.pk),
            state=row.state,
        )
    gates.tell_changed([row.pk for row in rows], actor, reason)
