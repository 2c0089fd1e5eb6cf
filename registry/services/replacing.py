"""The instances of a slot follow its version: those of the version left drain, as many are provisioned on the other.

Set-based: a slot may have a thousand instances. Callers have asked the right to rebind the slot, which carries this.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F

from arm import changes, clock, tasks
from arm import services as core
from arm.models import User

from .. import gates
from ..lifecycle import InstanceState
from ..models import AgentInstance, AgentVersion, DeploymentSlot, InstanceInterval, InstanceStatus, KeyScope
from .instances import RESTRICTED

BATCH = 2_000
_SUFFIX = re.compile(r"-g\d+$")


@dataclass(frozen=True, slots=True)
class Replaced:
    """How many of a slot's instances drained, were withdrawn before they had begun, stayed as they are (stopped for a
    reason of their own), and were provisioned."""

    drained: int = 0
    withdrawn: int = 0
    left: int = 0
    provisioned: int = 0

    def facts(self) -> dict[str, int]:
        return {
            "drained": self.drained,
            "withdrawn": self.withdrawn,
            "left": self.left,
            "provisioned": self.provisioned,
        }


def replace(
    slot: DeploymentSlot,
    leaving: AgentVersion | None,
    onto: AgentVersion | None,
    actor: User | None,
    reason: str,
    *,
    already: int = 0,
) -> Replaced:
    """Drain what runs `leaving` in the slot, and provision as many of `onto`, less `already`.

    What is stopped stays stopped: letting it drain would let it do more. What waits in Provisioning has done nothing
    and is withdrawn.
    """
    if leaving is None:
        return Replaced()
    rows = AgentInstance.objects.select_for_update().filter(slot=slot, version=leaving).order_by("pk")
    held = list(rows.exclude(state=InstanceState.RETIRED))
    at_work = [row for row in held if row.state == InstanceState.ACTIVE]
    waiting = [row for row in held if row.state == InstanceState.PROVISIONING]
    _move(at_work, InstanceState.DRAINING, RESTRICTED, actor, reason)
    _end_keys(waiting, actor)
    _move(waiting, InstanceState.RETIRED, "registry.instance.retired", actor, reason)
    wanted = max(0, len(at_work) + len(waiting) - already) if onto is not None else 0
    like = (at_work + waiting)[:wanted]
    if onto is not None:
        provision_like(slot, onto, like, actor, reason)
    return Replaced(
        len(at_work), len(waiting), len(held) - len(at_work) - len(waiting), len(like) if onto else 0
    )


def provision_like(
    slot: DeploymentSlot,
    version: AgentVersion,
    like: Sequence[AgentInstance],
    actor: User | None,
    reason: str,
) -> list[AgentInstance]:
    """One instance of the version for each of these, in Provisioning, with its name, labels and cost centre."""
    now = clock.now()
    made = [
        AgentInstance(
            tenant_id=slot.tenant_id,
            version=version,
            template_id=version.template_id,
            environment_id=slot.environment_id,
            provider_id=slot.provider_id,
            slot=slot,
            role_id=one.role_id or slot.role_id,
            name=f"{_SUFFIX.sub('', one.name)[:150]}-g{slot.generation}",
            cost_center=one.cost_center,
            labels=one.labels,
            state_since=now,
            created_at=now,
        )
        for one in like
    ]
    AgentInstance.objects.bulk_create(made, batch_size=BATCH)
    InstanceStatus.objects.bulk_create(
        [InstanceStatus(instance=one, tenant_id=one.tenant_id) for one in made], batch_size=BATCH
    )
    _open_intervals(made)
    facts = {
        "version": version.typeid,
        "environment": slot.environment.slug,
        "provider": slot.provider.slug,
        "slot": slot.typeid,
        "state": InstanceState.PROVISIONING.value,
    }
    changed = [changes.Change(one, after=facts) for one in made]
    _tell("registry.instance.provisioned", changed, made, actor, reason)
    return made


def _move(rows: list[AgentInstance], to: InstanceState, verb: str, actor: User | None, reason: str) -> None:
    if not rows:
        return
    now, ids = clock.now(), [row.pk for row in rows]
    AgentInstance.objects.filter(pk__in=ids).update(
        state=to,
        state_since=now,
        generation=F("generation") + 1,
        restricted_by_id=actor.pk if actor else None,
    )
    InstanceInterval.objects.filter(instance__in=ids, until=None).update(until=now)
    changed = []
    for row in rows:
        before: dict[str, Any] = {"state": row.state, "generation": row.generation}
        row.state, row.state_since, row.generation = to, now, row.generation + 1
        changed.append(changes.Change(row, before, {"state": to.value, "generation": row.generation}))
    _open_intervals(rows)
    _tell(verb, changed, rows, actor, reason)


def _open_intervals(rows: Sequence[AgentInstance]) -> None:
    InstanceInterval.objects.bulk_create(
        [
            InstanceInterval(
                tenant_id=row.tenant_id,
                instance=row,
                state=row.state,
                version_id=row.version_id,
                since=row.state_since,
                known_from=row.state_since,
            )
            for row in rows
        ],
        batch_size=BATCH,
    )


def _end_keys(rows: Sequence[AgentInstance], actor: User | None) -> None:
    for scope in KeyScope.objects.filter(instance__in=rows).select_related("key", "instance"):
        core.revoke_key(key=scope.key, actor=None, reason=f"{scope.instance} was retired.")


def _tell(
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
