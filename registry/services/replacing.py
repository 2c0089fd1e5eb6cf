"""The instances of a slot follow its version: those of the version left drain, at once or as they are replaced, and as
many are provisioned on the other.

Set-based: a slot may have a thousand instances. Callers have asked the right to rebind the slot, which carries this.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arm import changes, clock
from arm import services as core
from arm.models import User

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

    def facts(self) -> dict[str, Any]:
        counts = {
            "drained": self.drained,
            "withdrawn": self.withdrawn,
            "left": self.left,
            "provisioned": self.provisioned,
        }
        return counts | ({"working_on": self.working_on, "until": self.until} if self.working_on else {})


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
    like = (at_work + waiting)[_there(slot, onto) :]
    if keep is None or not at_work:
        move_all(at_work, InstanceState.DRAINING, RESTRICTED, actor, reason)
        provision_like(slot, onto, like, actor, reason)
        return Replaced(len(at_work), len(waiting), left, len(like))
    provision_like(slot, onto, like, actor, reason)
    handover = open_handover(slot, leaving, len(at_work), keep, actor, reason)
    drained = settle(slot)  # as many as others do the work of already
    return Replaced(
        drained, len(waiting), left, len(like), len(at_work) - drained, clock.exactly(handover.until)
    )


def _there(slot: DeploymentSlot, version: AgentVersion) -> int:
    """How many the slot has that work on this version, or will: a canary's, and what had not drained yet."""
    able = [InstanceState.ACTIVE, InstanceState.PROVISIONING]
    return AgentInstance.objects.filter(slot=slot, version=version, state__in=able).count()


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
    return made


def _end_keys(rows: Sequence[AgentInstance], actor: User | None) -> None:
    for scope in KeyScope.objects.filter(instance__in=rows).select_related("key", "instance"):
        core.revoke_key(key=scope.key, actor=None, reason=f"{scope.instance} was retired.")
