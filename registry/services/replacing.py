"""The instances of a slot follow its version: those of the version left drain, at once or as they are replaced, and as
many are provisioned on the other.

Set-based: a slot may have a thousand instances. Callers have asked the right to rebind the slot, which carries this.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arm import changes, clock
from arm import services as core
from arm.models import User

from ..facts import Carry, carried_over, carry_over
from ..lifecycle import InstanceState
from ..models import AgentInstance, AgentVersion, DeploymentSlot, InstanceStatus, KeyScope
from .handovers import Keep, open_handover, settle
from .instances import RESTRICTED
from .moving import BATCH, move_all, open_intervals, tell_all

_SUFFIX = re.compile(r"-g\d+$")


@dataclass(frozen=True, slots=True)
class Replaced:
    """How many of a slot's instances drained, were withdrawn before they had begun, stayed as they are (stopped for a
    reason of their own), were provisioned, and work on `until` they are replaced."""

    drained: int = 0
    withdrawn: int = 0
    left: int = 0
    provisioned: int = 0
    working_on: int = 0
    until: str = ""
    carried: tuple[Carry, ...] = ()
    """The rules of single instances that those in their place took over."""

    def facts(self) -> dict[str, Any]:
        counts = {
            "drained": self.drained,
            "withdrawn": self.withdrawn,
            "left": self.left,
            "provisioned": self.provisioned,
        }
        more: dict[str, Any] = {}
        if self.carried:
            more["carried"] = dict(Counter(one.kind for one in self.carried))
        if self.working_on:
            more |= {"working_on": self.working_on, "until": self.until}
        return counts | more


def replace(
    slot: DeploymentSlot,
    leaving: AgentVersion | None,
    onto: AgentVersion | None,
    actor: User | None,
    reason: str,
    *,
    keep: Keep | None = None,
) -> Replaced:
    """Drain what runs `leaving` in the locked slot, and provision as many of `onto` as the slot lacks then.

    With `keep`, what is at work works on until it is replaced (`Handover`); without, it drains at once. What is stopped
    stays stopped: letting it drain would let it do more. What waits in Provisioning has done nothing and is withdrawn.
    """
    if leaving is None:
        return Replaced()
    rows = AgentInstance.objects.select_for_update().filter(slot=slot, version=leaving).order_by("pk")
    held = list(rows.exclude(state=InstanceState.RETIRED))
    at_work = [row for row in held if row.state == InstanceState.ACTIVE]
    waiting = [row for row in held if row.state == InstanceState.PROVISIONING]
    left = len(held) - len(at_work) - len(waiting)
    _end_keys(waiting, actor)
    move_all(waiting, InstanceState.RETIRED, "registry.instance.retired", actor, reason)
    if onto is None:
        move_all(at_work, InstanceState.DRAINING, RESTRICTED, actor, reason)
        return Replaced(len(at_work), len(waiting), left)
    like, carried = _stood_in_for(slot, onto, at_work + waiting, actor, reason)
    if keep is None or not at_work:
        move_all(at_work, InstanceState.DRAINING, RESTRICTED, actor, reason)
        carried += provision_like(slot, onto, like, actor, reason)
        return Replaced(len(at_work), len(waiting), left, len(like), carried=tuple(carried))
    carried += provision_like(slot, onto, like, actor, reason)
    handover = open_handover(slot, leaving, len(at_work), keep, actor, reason)
    drained = settle(slot)  # as many as others do the work of already
    working_on, until = len(at_work) - drained, clock.exactly(handover.until)
    return Replaced(drained, len(waiting), left, len(like), working_on, until, tuple(carried))


def _stood_in_for(
    slot: DeploymentSlot,
    onto: AgentVersion,
    rows: Sequence[AgentInstance],
    actor: User | None,
    reason: str,
) -> tuple[list[AgentInstance], list[Carry]]:
    """Those of `rows` that need a replacement, and what those in the others' place took over.

    What the slot has that works on the version, or will (canaries, and what had not drained yet), stands in for its
    namesake, else for whom nothing holds alone: else a rule would end with its instance. One that was there before the
    instance it stands in for keeps the rules it has: a canary's own are not those of what it was tried beside."""
    able = [InstanceState.ACTIVE, InstanceState.PROVISIONING]
    there = AgentInstance.objects.filter(slot=slot, version=onto, state__in=able).order_by("pk")
    named: dict[str, list[AgentInstance]] = defaultdict(list)
    for one in there:
        named[_stem(one)].append(one)
    pairs, others = [], []
    for row in rows:
        if held := named[_stem(row)]:
            pairs.append((row, held.pop(0)))
        else:
            others.append(row)
    spare = [one for held in named.values() for one in held]
    if spare and others:
        bound = {key for port in carried_over() for key in port.own([row.pk for row in others])}
        others.sort(key=lambda row: row.pk in bound)
    pairs += zip(others, spare, strict=False)
    younger = [(row, other) for row, other in pairs if other.created_at > row.created_at]
    return others[len(spare) :], carry_over(younger, actor, reason)


def _stem(instance: AgentInstance) -> str:
    """What an instance and its replacements are called, without the generation."""
    return _SUFFIX.sub("", instance.name)[:150]


def provision_like(
    slot: DeploymentSlot,
    version: AgentVersion,
    like: Sequence[AgentInstance],
    actor: User | None,
    reason: str,
) -> list[Carry]:
    """One instance of the version for each of these, in Provisioning, with its name, labels and cost centre, and under what
    holds for it alone: a cap, a policy. Returns what was taken over."""
    now = clock.now()
    made = [
        AgentInstance(
            tenant_id=slot.tenant_id,
            version=version,
            template_id=version.template_id,
            environment_id=slot.environment_id,
            provider_id=slot.provider_id,
            slot=slot,
            role_id=slot.role_id,
            name=f"{_stem(one)}-g{slot.generation}",
            cost_center=one.cost_center,
            labels=one.labels,
            replacement=True,
            state_since=now,
            created_at=now,
        )
        for one in like
    ]
    AgentInstance.objects.bulk_create(made, batch_size=BATCH)
    InstanceStatus.objects.bulk_create(
        [InstanceStatus(instance=one, tenant_id=one.tenant_id) for one in made], batch_size=BATCH
    )
    open_intervals(made)
    facts = {
        "version": version.typeid,
        "environment": slot.environment.slug,
        "provider": slot.provider.slug,
        "slot": slot.typeid,
        "state": InstanceState.PROVISIONING.value,
    }
    changed = [changes.Change(one, after=facts) for one in made]
    tell_all("registry.instance.provisioned", changed, made, actor, reason)
    return carry_over(list(zip(like, made, strict=True)), actor, reason)


def _end_keys(rows: Sequence[AgentInstance], actor: User | None) -> None:
    for scope in KeyScope.objects.filter(instance__in=rows).select_related("key", "instance"):
        core.revoke_key(key=scope.key, actor=None, reason=f"{scope.instance} was retired.")
