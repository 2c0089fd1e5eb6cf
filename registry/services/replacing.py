"""The instances of a slot follow its version: those of the version left drain, at once or as they are replaced, and as
many are provisioned on the other.

Set-based: a slot may have a thousand instances. Callers have asked the right to rebind the slot, which carries this.
"""

from collections.abc import Sequence
from typing import Any

from arm import changes, clock
from arm import services as core
from arm.inserting import insert_all
from arm.models import User

from ..facts import Carry, Pairs, carry_over
from ..lifecycle import InstanceState
from ..models import AgentInstance, AgentVersion, DeploymentSlot, InstanceStatus, KeyScope
from ..queries.replacing import ABLE, Group, Replaced, grouped, placed, stem, who_goes
from .handovers import Keep, open_handover, settle
from .instances import RESTRICTED
from .moving import move_all, open_intervals, tell_all


def replace(
    slot: DeploymentSlot,
    leaving: AgentVersion | None,
    onto: AgentVersion | None,
    actor: User | None,
    reason: str,
    *,
    keep: Keep | None = None,
    beside: AgentVersion | None = None,
    keep_beside: Keep | None = None,
) -> Replaced:
    """Drain what runs `leaving` in the locked slot, and provision as many of `onto` as the slot lacks then.

    With `keep`, what is at work works on until it is replaced (`Handover`); without, it drains at once. What is stopped
    stays stopped: letting it drain would let it do more. What waits in Provisioning has done nothing and is withdrawn.
    `beside`: a canary of the slot that ends with it, and is replaced where it is kept and has more than `leaving` has.
    """
    if leaving is None:
        return Replaced()
    if onto is None:
        keep = keep_beside = None
    left, other = _held(slot, leaving, beside)
    waiting = [*left.waiting, *other.waiting]
    _end_keys(waiting, actor)
    move_all(waiting, InstanceState.RETIRED, "registry.instance.retired", actor, reason)
    there: list[AgentInstance] = []
    anew: list[AgentInstance] = []
    pairs: Pairs = ()
    if onto is not None:
        rows = AgentInstance.objects.filter(slot=slot, version=onto, state__in=ABLE)
        there = list(rows.order_by("pk"))
        anew, pairs = placed(who_goes(left, other if keep_beside else Group()), there)
    # one that was there before the instance it stands in for keeps the rules it has: a canary's own are its own
    carried = carry_over([(row, one) for row, one in pairs if one.created_at > row.created_at], actor, reason)
    at_once = [*(() if keep else left.at_work), *(() if keep_beside else other.at_work)]
    move_all(at_once, InstanceState.DRAINING, RESTRICTED, actor, reason)
    if onto is not None:
        carried += provision_like(slot, onto, anew, actor, reason)
    begun = {
        version.pk: open_handover(slot, version, len(group.at_work), kept, actor, reason)
        for version, group, kept in ((beside, other, keep_beside), (leaving, left, keep))
        if version and kept and group.at_work
    }
    drained = settle(slot) if begun else {}  # as many as others do the work of already

    def told(version: AgentVersion, group: Group, **more: Any) -> Replaced:
        number = drained.get(version.pk, 0) if version.pk in begun else len(group.at_work)
        until = clock.exactly(begun[version.pk].until) if version.pk in begun else ""
        on = len(group.at_work) - number
        return Replaced(number, len(group.waiting), len(group.stopped), working_on=on, until=until, **more)

    return told(
        leaving,
        left,
        provisioned=len(anew),
        carried=tuple(carried),
        anew=tuple(one.typeid for one in anew),
        there=len(pairs),
        stays=tuple(one.typeid for one in there),
        beside=told(beside, other) if beside else None,
    )


def _held(slot: DeploymentSlot, leaving: AgentVersion, beside: AgentVersion | None) -> tuple[Group, Group]:
    """What the slot has of both, locked in one order."""
    versions = [one for one in (leaving, beside) if one is not None]
    rows = AgentInstance.objects.select_for_update().filter(slot=slot, version__in=versions).order_by("pk")
    held = list(rows.exclude(state=InstanceState.RETIRED))
    of = [grouped(row for row in held if row.version_id == one.pk) for one in versions]
    return of[0], of[1] if beside else Group()


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
            name=f"{stem(one)}-g{slot.generation}",
            cost_center=one.cost_center,
            labels=one.labels,
            replacement=True,
            state_since=now,
            created_at=now,
        )
        for one in like
    ]
    insert_all(made)
    insert_all([InstanceStatus(instance_id=one.pk, tenant_id=one.tenant_id) for one in made])
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
