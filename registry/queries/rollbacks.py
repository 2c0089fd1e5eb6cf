"""What a rollback would do, before it is done. The rollback itself reads here, too, what it binds to what: what was shown
and what is done are one reading."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Count

from arm import ids
from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from ..engine import Drain
from ..facts import carried_over
from ..gates import Verdict
from ..gates.returning import for_return
from ..models import AgentInstance, AgentVersion, DeploymentSlot, Rollout, RolloutSlot, go_back_to
from .replacing import ABLE, Board, Replaced, boards, foreseen, were_leaving


def held_with(slots: Collection[UUID]) -> list[RolloutSlot]:
    """What the rollouts hold that hold any of these slots, with the slots: a rollback of one ends its rollout for all."""
    mine = RolloutSlot.objects.filter(slot__in=slots, held=True).values("rollout")
    rows = RolloutSlot.objects.filter(rollout__in=mine, held=True).order_by("rollout", "slot")
    return list(
        rows.select_related(
            "rollout__version__template", "rollout__environment", "rollout__role", "from_version__template"
        ).select_related("slot__environment", "slot__role", "slot__current_version")
    )


def rollouts_of(version: AgentVersion, *, without: Collection[UUID]) -> list[UUID]:
    """The rollouts of the version that hold none of these slots: once it is deprecated, they pause at their next binding."""
    ended = RolloutSlot.objects.filter(slot__in=without, held=True).values("rollout")
    rows = RolloutSlot.objects.filter(rollout__version=version, held=True).exclude(rollout__in=ended)
    return sorted(set(rows.values_list("rollout", flat=True)))


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


@dataclass(slots=True)
class Ended:
    """What the end of a rollout does to its slots, or would: as preview, record and dossier of a rollback say it."""

    rollout: Rollout
    was: str
    canaries: list[dict[str, Any]] = field(default_factory=list)
    slots: list[dict[str, Any]] = field(default_factory=list)
    keeps: list[str] = field(default_factory=list)

    def canary(self, slot: str, share: int, moved: Replaced, stays: int = 0) -> None:
        self.canaries.append(canary_told(self.rollout, slot, share, moved, stays))

    def returned(self, slot: str, to: str, moved: Replaced) -> None:
        self.slots.append({"slot": slot, "to": to, **moved.counts(), "taken_back": list(moved.stays)})

    def told(self) -> dict[str, Any]:
        """`was`: its state before; `slots`: what it returns; `keeps`: slots that were empty before and keep its version."""
        return {
            "rollout": self.rollout.typeid,
            "version": ids.encode(AgentVersion.prefix, self.rollout.version_id),
            "was": self.was,
            "slots": sorted(self.slots, key=lambda one: str(one["slot"])),
            "keeps": sorted(self.keeps),
        }


def canary_told(rollout: Rollout, slot: str, share: int, moved: Replaced, stays: int = 0) -> dict[str, Any]:
    """A canary that ends: how many of its instances drain, work on until they are replaced, are withdrawn, are left as they
    are (stopped for a reason of their own, unhealthy or not), and stay at work since the slot goes back to their version."""
    version = ids.encode(AgentVersion.prefix, rollout.version_id)
    return {"slot": slot, "version": version, "share": share, **moved.counts(), "stays": stays}


def members(moved: Replaced, own: Sequence[dict[str, Any]], ended: Ended | None) -> dict[str, Any]:
    """What a rollback of one slot does beside its numbers: who stands in, which canaries end (its `own` first), which
    instances of the version it goes back to stay or are taken back, and what becomes of the rollout that held the slot."""
    others = sorted(ended.canaries, key=lambda one: str(one["slot"])) if ended else []
    return {
        "standing_in": moved.standing_in(),
        "canaries": [*own, *others],
        "taken_back": list(moved.stays),
        "rollout": ended.told() if ended else None,
    }


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a rollback would do to one slot now."""

    moved: Replaced
    members: Mapping[str, Any]
    able: Sequence[AgentInstance]
    """What runs the version left, or will."""

    def members_seen(self, actor: User, known: Sequence[DeploymentSlot]) -> dict[str, Any]:
        """The members as far as the actor sees the other slots, of which some are `known` to be theirs to see; what others
        they have is counted."""
        told = dict(self.members)
        ended = told["rollout"]
        named = {one["slot"] for one in told["canaries"]}
        if ended:
            named |= {*(one["slot"] for one in ended["slots"]), *ended["keeps"]}
        found = {one.typeid: str(one) for one in known if one.typeid in named}
        if keys := [ids.decode(DeploymentSlot.prefix, one) for one in named - found.keys()]:
            rows = DeploymentSlot.objects.filter(pk__in=keys).select_related("environment", "role")
            found |= {one.typeid: str(one) for one in visible(rows, actor, Right.READ_DIRECTORY)}
        told["canaries"] = [one for one in told["canaries"] if one["slot"] in found]
        if ended:
            slots = [one for one in ended["slots"] if one["slot"] in found]
            told["rollout"] = {
                **ended,
                "slots": slots,
                "keeps": [one for one in ended["keeps"] if one in found],
            }
        told["ended"] = told.pop("rollout")
        return {**told, "rollout_slots_hidden": len(named - found.keys()), "names": found}


def _foreseen(
    slot: DeploymentSlot,
    target: AgentVersion,
    held: Sequence[RolloutSlot],
    names: Collection[UUID],
    keep: bool,
) -> Foreseen:
    """As `roll_back_slot` goes about it: first the end of the rollout that holds the slot, then the slot."""
    row = next((one for one in held if one.slot_id == slot.pk), None)
    rollout = row.rollout if row else None
    rows = [one for one in held if rollout and one.rollout_id == rollout.pk]
    known = boards({slot.pk, *(one.slot_id for one in rows)})
    leaving = were_leaving(rollout, [one.slot_id for one in rows]) if rollout else set()
    ended = Ended(rollout, rollout.state) if rollout else None
    for one in rows:
        if ended is not None and one.slot_id not in names:
            _foresee_end(ended, one, known[one.slot_id], keep, one.slot_id in leaving)
    tried = rollout is not None and slot.canary_version_id == rollout.version_id
    goes = tried and rollout is not None and rollout.version_id != target.pk
    assert slot.current_version_id is not None
    moved = foreseen(
        known[slot.pk],
        slot.current_version_id,
        target.pk,
        keep=keep,
        beside=rollout.version_id if rollout and goes else None,
        keep_beside=keep or slot.pk in leaving,
    )
    stopped = len(known[slot.pk].group(target.pk).stopped)
    own = [own_canary(rollout, slot, slot.canary_share, moved, stopped)] if tried and rollout else []
    able = known[slot.pk].group(slot.current_version_id).able
    return Foreseen(moved, members(moved, own, ended), able)


def own_canary(
    rollout: Rollout, slot: DeploymentSlot, share: int, moved: Replaced, stopped: int
) -> dict[str, Any]:
    """The canary of the slot that goes back. `stopped`: how many of what it goes back to were stopped; where the canary is
    of that, its instances stay as they are."""
    if moved.beside is not None:
        return canary_told(rollout, slot.typeid, share, moved.beside)
    return canary_told(rollout, slot.typeid, share, Replaced(left=stopped), len(moved.stays))


def _foresee_end(ended: Ended, row: RolloutSlot, board: Board, keep: bool, leaving: bool) -> None:
    """As `take_back` ends it in a slot that is not rolled back itself."""
    slot, version = row.slot, ended.rollout.version_id
    if slot.canary_version_id == version:
        onto = slot.current_version_id if keep or leaving else None
        moved = foreseen(board, version, onto, keep=keep or leaving, rebound=False)
        ended.canary(slot.typeid, slot.canary_share, moved)
    elif to := returns_to(row, slot):
        moved = foreseen(board, version, to, keep=keep)
        ended.returned(slot.typeid, ids.encode(AgentVersion.prefix, to), moved)
    elif slot.current_version_id == version:
        ended.keeps.append(slot.typeid)


@dataclass(frozen=True, slots=True)
class Other:
    """Another slot that is bound to the version left, and may go back with it. `targets`: of its own rollback alone;
    `replaced`: how many of its instances run that version, or will, and would be replaced."""

    slot: DeploymentSlot
    target: AgentVersion | None
    targets: Mapping[UUID, UUID]
    replaced: int


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
    standing_in: Mapping[str, Any]
    canaries: Sequence[Mapping[str, Any]]
    taken_back: Sequence[str]
    ended: Mapping[str, Any] | None
    """`members`, as far as the visitor sees the slots; `ended` is its `rollout`."""
    rollout_slots_hidden: int
    names: Mapping[str, str]
    """Of the slots in them, by identifier."""

    @property
    def beside(self) -> list[str]:
        """In words, what else it does: to canaries, to instances that stay, to the other slots of the rollout."""
        return list(_words(self))

    @property
    def missing(self) -> tuple[Verdict, ...]:
        """What refuses it."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)

    @property
    def warnings(self) -> tuple[Verdict, ...]:
        """What a binding would ask and the target lacks by now: the rollback is done, and its record says so."""
        return tuple(verdict for verdict in self.others_asked if not verdict.passed)


def rollback_preview(
    slot: DeploymentSlot, actor: User, *, drain: str = Drain.REPLACED, also: Sequence[DeploymentSlot] = ()
) -> RollbackPreview | None:
    """What a rollback of the slot would do; None where there is nothing to go back to. `also`: with these, of which each
    has a preview of its own."""
    leaving = slot.current_version
    if leaving is None or slot.previous_version_id is None:
        return None
    bound = DeploymentSlot.objects.filter(current_version=leaving).exclude(pk=slot.pk)
    rows = bound.select_related("environment", "role", "provider", "previous_version__template")
    others = list(visible(rows, actor, Right.READ_DIRECTORY).order_by("environment__position", "pk"))
    back = go_back_to([slot, *also, *others])
    target = back[slot.pk]
    if target is None:
        return None
    held = held_with([slot.pk, *(one.pk for one in [*others, *also])])
    able = _able_in(others, leaving)
    needed, others_asked = for_return(slot, target)
    names = {slot.pk, *(one.pk for one in also)}
    seen = _foreseen(slot, target, held, names, drain != Drain.AT_ONCE)
    carried, carried_hidden = _carried(seen.able, actor)
    return RollbackPreview(
        slot=slot,
        leaving=leaving,
        target=target,
        drains=seen.moved.drained + seen.moved.working_on,
        withdrawn=seen.moved.withdrawn,
        left=seen.moved.left,
        provisioned=seen.moved.provisioned,
        targets=rebinds([slot, *also], held, back),
        others=tuple(
            Other(one, back[one.pk], rebinds([one], held, back), able.get(one.pk, 0)) for one in others
        ),
        others_hidden=bound.count() - len(others),
        rollouts_elsewhere=len(rollouts_of(leaving, without=[slot.pk, *(one.pk for one in also)])),
        rollout=next((one for one in held if one.slot_id == slot.pk), None),
        verdicts=tuple(needed),
        others_asked=tuple(others_asked),
        carried=carried,
        carried_hidden=carried_hidden,
        **seen.members_seen(actor, [slot, *also, *others]),
    )


def _able_in(slots: Sequence[DeploymentSlot], version: AgentVersion) -> dict[UUID, int]:
    """How many instances of the version each slot has at work or about to be, by its key."""
    rows = AgentInstance.objects.filter(slot__in=slots, version=version, state__in=ABLE).order_by()
    return dict(rows.values_list("slot").annotate(n=Count("pk")))


def _carried(rows: Sequence[AgentInstance], actor: User) -> tuple[tuple[str, ...], int]:
    names = {row.pk: str(row) for row in sorted(rows, key=lambda row: row.pk)}
    told, count = [], 0
    for port in carried_over() if names else ():
        if not (all_of_it := port.own(names)):
            continue
        count += sum(len(lines) for lines in all_of_it.values())
        seen = port.own(names, actor)
        told += [f"{name}: {line}" for key, name in names.items() for line in seen.get(key, ())]
    return tuple(told), count - len(told)


_COUNTED = (
    ("drained", "drain at once"),
    ("working_on", "work on until they are replaced"),
    ("withdrawn", "are withdrawn"),
    ("left", "stay stopped"),
    ("stays", "stay at work"),
    ("provisioned", "are provisioned"),
)


def _numbers(told: Mapping[str, Any]) -> str:
    found = [f"{told[name]} {words}" for name, words in _COUNTED if told.get(name)]
    return ", ".join(found) or "it has no instances"


def _words(preview: RollbackPreview) -> Iterator[str]:
    if preview.standing_in["there"]:
        yield f"{preview.standing_in['there']} need no replacement: somebody stands in for them already."
    if preview.taken_back:
        yield f"{len(preview.taken_back)} of {preview.target} are there already, and stay."
    for one in preview.canaries:
        yield f"The canary of {one['share']} % in {preview.names[one['slot']]} ends: {_numbers(one)}."
    for one in preview.ended["slots"] if preview.ended else ():
        back = f"; {len(one['taken_back'])} of what it had are there still" if one["taken_back"] else ""
        yield f"{preview.names[one['slot']]} returns to the version it had: {_numbers(one)}{back}."
    for key in preview.ended["keeps"] if preview.ended else ():
        yield f"{preview.names[key]} was empty before and keeps the version of the rollout."
    if preview.rollout_slots_hidden:
        yield f"{preview.rollout_slots_hidden} more slots of the rollout, which you may not see, change with it."
