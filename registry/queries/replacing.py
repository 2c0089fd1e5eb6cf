"""Who takes whose place when a slot leaves a version: judged here, for the preview of an act and for the act alike."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Q, Subquery

from arm import clock

from ..engine import HandoverEnd, leaving_now
from ..facts import Carry, carried_over
from ..lifecycle import InstanceState
from ..models import AgentInstance, DeploymentSlot, Handover, Rollout, SlotBinding

ABLE = (InstanceState.ACTIVE, InstanceState.PROVISIONING)
_SUFFIX = re.compile(r"-g\d+$")


def stem(instance: AgentInstance) -> str:
    """What an instance and its replacements are called, without the generation."""
    return _SUFFIX.sub("", instance.name)[:150]


@dataclass(frozen=True, slots=True)
class Group:
    """The live instances of one version in a slot: those at work, those that wait to begin, and the others, which were
    stopped for a reason of their own (paused, quarantined, unhealthy or not) or drain already."""

    at_work: tuple[AgentInstance, ...] = ()
    waiting: tuple[AgentInstance, ...] = ()
    stopped: tuple[AgentInstance, ...] = ()

    @property
    def able(self) -> list[AgentInstance]:
        return [*self.at_work, *self.waiting]


def grouped(rows: Iterable[AgentInstance]) -> Group:
    """By their state, each in the order given."""
    found: dict[str, list[AgentInstance]] = defaultdict(list)
    for row in rows:
        found[row.state if row.state in ABLE else ""].append(row)
    return Group(tuple(found[ABLE[0]]), tuple(found[ABLE[1]]), tuple(found[""]))


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
    anew: tuple[str, ...] = ()
    """The instances in whose place one was provisioned."""
    there: int = 0
    """How many are stood in for by one that the slot had already."""
    stays: tuple[str, ...] = ()
    """The instances of the version that comes that the slot had already, at work or about to be."""
    beside: "Replaced | None" = None
    """What became of the canary's instances, which ended with it."""

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

    def counts(self) -> dict[str, int]:
        """What of it is known before it is done, too."""
        names = ("drained", "working_on", "withdrawn", "left", "provisioned")
        return {name: getattr(self, name) for name in names}

    def standing_in(self) -> dict[str, Any]:
        """Who stands in: how many are provisioned, in whose place, and for how many one is there already."""
        return {"provisioned": self.provisioned, "for": list(self.anew), "there": self.there}


def who_goes(left: Group, beside: Group) -> list[AgentInstance]:
    """Whose work somebody must do once both are gone: those at the version left, and the canaries beyond as many."""
    return [*left.able, *placed(beside.able, left.able)[0]]


def placed(
    rows: Sequence[AgentInstance], there: Sequence[AgentInstance]
) -> tuple[list[AgentInstance], list[tuple[AgentInstance, AgentInstance]]]:
    """Those of `rows` that need a replacement, and (gone, there) those in whose place one of `there` is.

    What the slot has that works on the version, or will (canaries, and what had not drained yet), stands in for its
    namesake, else for whom nothing holds alone: else a rule would end with its instance."""
    named: dict[str, list[AgentInstance]] = defaultdict(list)
    for one in there:
        named[stem(one)].append(one)
    pairs, others = [], []
    for row in rows:
        if held := named[stem(row)]:
            pairs.append((row, held.pop(0)))
        else:
            others.append(row)
    spare = [one for held in named.values() for one in held]
    if spare and others:
        bound = {key for port in carried_over() for key in port.own([row.pk for row in others])}
        others.sort(key=lambda row: row.pk in bound)
    pairs += zip(others, spare, strict=False)
    return others[len(spare) :], pairs


@dataclass(frozen=True, slots=True)
class Board:
    """What stands in a slot: its live instances by version, and what works on there until it is replaced, or did until the
    slot was bound to its version again."""

    instances: Mapping[UUID, Sequence[AgentInstance]]
    handovers: Sequence[Handover]

    def group(self, version: UUID | None) -> Group:
        return grouped(self.instances.get(version, ())) if version else Group()


def boards(slots: Collection[UUID]) -> dict[UUID, Board]:
    """Of each of these slots, in two statements."""
    rows = AgentInstance.objects.live().filter(slot__in=slots).order_by("pk")
    found: dict[UUID, dict[UUID, list[AgentInstance]]] = {pk: defaultdict(list) for pk in slots}
    for row in rows.only("name", "state", "created_at", "version", "slot"):
        assert row.slot_id is not None
        found[row.slot_id][row.version_id].append(row)
    binding = SlotBinding.objects.filter(slot=OuterRef("slot"), until=None).values("since")
    kept = Q(outcome=HandoverEnd.KEPT, version__in=DeploymentSlot.objects.filter(pk=OuterRef("slot")).values("current_version"))  # fmt: skip
    held = Handover.objects.filter(Q(ended_at=None) | kept & Q(ended_at__gte=Subquery(binding[:1])))
    under_way = defaultdict(list)
    for one in held.filter(slot__in=slots).order_by("pk"):
        under_way[one.slot_id].append(one)
    return {pk: Board(found[pk], under_way[pk]) for pk in slots}


def were_leaving(rollout: Rollout, slots: Collection[UUID]) -> set[UUID]:
    """The slots that the rollout's version was on its way out of when this rollout took it back as their canary."""
    kept = Handover.objects.filter(slot__in=slots, version=rollout.version_id, outcome=HandoverEnd.KEPT)
    return set(kept.filter(ended_at__gte=rollout.created_at).values_list("slot", flat=True))


def foreseen(
    board: Board,
    leaving: UUID,
    onto: UUID | None,
    *,
    keep: bool,
    beside: UUID | None = None,
    keep_beside: bool = False,
    rebound: bool = True,
) -> Replaced:
    """What `services.replacing.replace` would do now, by the same rules. `rebound`: the slot is bound to `onto` with it;
    else it has that already."""
    left, other, there = board.group(leaving), board.group(beside), board.group(onto)
    keep, keep_beside = keep and onto is not None, keep_beside and onto is not None
    anew, pairs = placed(who_goes(left, other if keep_beside else Group()), there.able) if onto else ([], [])
    opened = {beside: len(other.at_work) if keep_beside else 0, leaving: len(left.at_work) if keep else 0}
    going = _leaving(
        board, onto, {pk: n for pk, n in opened.items() if pk and n}, len(there.at_work), rebound
    )
    counts = {}
    for version, group, kept in ((leaving, left, keep), (beside, other, keep_beside)):
        drained = going.get(version, 0) if kept and version else len(group.at_work)
        counts[version] = (drained, len(group.waiting), len(group.stopped), len(group.at_work) - drained)
    drained, withdrawn, stopped, working_on = counts[leaving]
    ends = counts[beside] if beside else None
    return Replaced(
        drained,
        withdrawn,
        stopped,
        len(anew),
        working_on,
        anew=tuple(one.typeid for one in anew),
        there=len(pairs),
        stays=tuple(one.typeid for one in there.able),
        beside=Replaced(ends[0], ends[1], ends[2], 0, ends[3]) if ends else None,
    )


def _leaving(
    board: Board, onto: UUID | None, opened: Mapping[UUID, int], replaced: int, rebound: bool
) -> dict[UUID, int]:
    """How many of each version drain at once since others do their work already, if handovers of these begin now."""
    if not opened:
        return {}
    counted = [one for one in board.handovers if one.ended_at is None or not rebound]
    wanted = max([*opened.values(), *(one.wanted for one in counted)])
    held = [one for one in counted if one.ended_at is None and one.version_id != onto]
    now = clock.now()
    queue = [(one.version_id, len(board.group(one.version_id).at_work), one.until <= now) for one in held]
    queue += [(pk, number, False) for pk, number in opened.items()]
    numbers = leaving_now([(number, late) for _, number, late in queue], replaced, wanted)
    return {pk: number for (pk, _, _), number in zip(queue, numbers, strict=True)}
