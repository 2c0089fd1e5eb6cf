"""What a rollback would do, before it is done. The rollback itself reads here, too, what it binds to what: what was shown
and what is done are one reading."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from arm import ids
from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from ..facts import carried_over
from ..gates import Verdict
from ..gates.returning import for_return
from ..lifecycle import InstanceState
from ..models import AgentInstance, AgentVersion, DeploymentSlot, RolloutSlot, go_back_to
from .releases import instances_of, running_rollout


def held_with(slots: Collection[UUID]) -> list[RolloutSlot]:
    """What the rollouts hold that hold any of these slots, with the slots: a rollback of one ends its rollout for all."""
    mine = RolloutSlot.objects.filter(slot__in=slots, held=True).values("rollout")
    rows = RolloutSlot.objects.filter(rollout__in=mine, held=True).order_by("rollout", "slot")
    return list(
        rows.select_related(
            "rollout__version__template", "rollout__environment", "rollout__role", "from_version__template"
        ).select_related("slot__environment", "slot__role", "slot__current_version")
    )


def returns_to(row: RolloutSlot, slot: DeploymentSlot) -> UUID | None:
    """What the end of the rollout binds one of its slots to again; None where it changes no binding."""
    return row.from_version_id if slot.current_version_id == row.rollout.version_id else None


def rebinds(
    slots: Sequence[DeploymentSlot], held: Sequence[RolloutSlot], back: Mapping[UUID, AgentVersion | None]
) -> dict[UUID, UUID]:
    """Every slot that a rollback of these binds to another version, and to which: themselves (`back`), and what the end of
    the rollouts that hold them returns."""
    keys = {slot.pk for slot in slots}
    ended = {row.rollout_id for row in held if row.slot_id in keys}
    found = {
        row.slot_id: to
        for row in held
        if row.rollout_id in ended and row.slot_id not in keys and (to := returns_to(row, row.slot))
    }
    return found | {pk: one.pk for pk in keys if (one := back[pk]) is not None}


def otherwise(
    seen: Mapping[UUID, UUID], now: Mapping[UUID, UUID], names: Mapping[UUID, DeploymentSlot]
) -> list[str]:
    """In words, each slot that would not go to what was shown of it. `names`: the slots of `now`."""
    keys = sorted(pk for pk, to in now.items() if seen.get(pk) != to)
    versions = AgentVersion.objects.select_related("template").in_bulk({now[pk] for pk in keys})
    said = [
        f"{names[pk]} would now go to {versions[now[pk]]}{', which was not shown' if pk not in seen else ''}."
        for pk in keys
    ]
    gone = sorted(seen.keys() - now.keys())
    return said + [f"{names.get(pk) or ids.encode('slt', pk)} would now keep what it has." for pk in gone]


@dataclass(frozen=True, slots=True)
class Other:
    """Another slot that is bound to the version left, and may go back with it. `targets`: of its own rollback alone."""

    slot: DeploymentSlot
    target: AgentVersion | None
    targets: Mapping[UUID, UUID]


def _others(slots: Sequence[DeploymentSlot], held: Sequence[RolloutSlot]) -> tuple[Other, ...]:
    back = go_back_to(slots)
    return tuple(Other(slot, back[slot.pk], rebinds([slot], held, back)) for slot in slots)


@dataclass(frozen=True, slots=True)
class RollbackPreview:
    """What one click would do to a slot, in numbers, before it is done."""

    slot: DeploymentSlot
    leaving: AgentVersion
    target: AgentVersion
    drains: int
    withdrawn: int
    left: int
    provisioned: int
    targets: Mapping[UUID, UUID]
    """Every slot that it binds to another version, and to which: what `roll_back_slot` takes as `seen`."""
    others: tuple[Other, ...]
    others_hidden: int
    rollouts_elsewhere: int
    rollout: RolloutSlot | None
    verdicts: tuple[Verdict, ...]
    others_asked: tuple[Verdict, ...]
    carried: tuple[str, ...]
    """What holds for a single instance of those that are replaced, and will for its replacement; what the visitor sees."""
    carried_hidden: int

    @property
    def missing(self) -> tuple[Verdict, ...]:
        """What refuses it."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)

    @property
    def warnings(self) -> tuple[Verdict, ...]:
        """What a binding would ask and the target lacks by now: the rollback is done, and its record says so."""
        return tuple(verdict for verdict in self.others_asked if not verdict.passed)


def rollback_preview(slot: DeploymentSlot, actor: User) -> RollbackPreview | None:
    """What a rollback of the slot would do; None where there is nothing to go back to."""
    leaving, target = slot.current_version, slot.goes_back_to
    if leaving is None or target is None:
        return None
    states = instances_of(slot, leaving)
    drains = states.get(InstanceState.ACTIVE, 0)
    withdrawn = states.get(InstanceState.PROVISIONING, 0)
    back = instances_of(slot, target)  # what works on the target still, or will
    there = back.get(InstanceState.ACTIVE, 0) + back.get(InstanceState.PROVISIONING, 0)
    bound = DeploymentSlot.objects.filter(current_version=leaving).exclude(pk=slot.pk)
    rows = bound.select_related("environment", "role", "provider", "previous_version__template")
    others = list(visible(rows, actor, Right.READ_DIRECTORY).order_by("environment__position", "pk"))
    rows_held = held_with([slot.pk, *(one.pk for one in others)])
    needed, others_asked = for_return(slot, target)
    held = RolloutSlot.objects.filter(rollout__version=leaving, held=True)
    elsewhere = held.exclude(slot=slot).values_list("rollout", flat=True)
    carried, carried_hidden = _carried(slot, leaving, actor)
    return RollbackPreview(
        slot=slot,
        leaving=leaving,
        target=target,
        drains=drains,
        withdrawn=withdrawn,
        left=sum(states.values()) - drains - withdrawn,
        provisioned=max(0, drains + withdrawn - there),
        targets=rebinds([slot], rows_held, {slot.pk: target}),
        others=_others(others, rows_held),
        others_hidden=bound.count() - len(others),
        rollouts_elsewhere=len(set(elsewhere)),
        rollout=running_rollout(slot),
        verdicts=tuple(needed),
        others_asked=tuple(others_asked),
        carried=carried,
        carried_hidden=carried_hidden,
    )


def _carried(slot: DeploymentSlot, leaving: AgentVersion, actor: User) -> tuple[tuple[str, ...], int]:
    able = [InstanceState.ACTIVE, InstanceState.PROVISIONING]
    rows = AgentInstance.objects.filter(slot=slot, version=leaving, state__in=able).order_by("pk")
    names = {row.pk: str(row) for row in rows}
    told, count = [], 0
    for port in carried_over() if names else ():
        count += sum(len(lines) for lines in port.own(names).values())
        seen = port.own(names, actor)
        told += [f"{name}: {line}" for key, name in names.items() for line in seen.get(key, ())]
    return tuple(told), count - len(told)
