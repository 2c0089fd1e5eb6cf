"""An instance as its page shows it, and where it may go from here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from arm import clock
from arm.models import ChangeRecord, User
from arm.permissions import held_on, visible
from arm.rights import Right

from .. import gates
from ..diagrams import Diagram, layout
from ..gates.draining import waits_for
from ..lifecycle import ALLOWS, INSTANCE_MOVES, InstanceState, Move, instance_move
from ..models import AgentInstance, InstanceInterval, KeyScope
from .related import SHOWN, changes_of
from .versions import Step


@dataclass(frozen=True, slots=True)
class InstancePage:
    steps: tuple[Step, ...]
    diagram: Diagram
    waits_for: tuple[gates.Verdict, ...]
    """What is missing before ARM retires it by itself, of one that drains."""
    stale: bool
    intervals: tuple[InstanceInterval, ...]
    changes: tuple[ChangeRecord, ...]
    rights: frozenset[Right]

    @property
    def restrictions(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.kind == Move.RESTRICTION.value and step.allowed)


@dataclass(frozen=True, slots=True)
class Reach:
    """Who feels it when an instance is stopped: before a dangerous click, in numbers."""

    colleagues: int
    children: int
    tokens: int


def reach_of(instance: AgentInstance, actor: User) -> Reach:
    """Others of the same agent at work in the same environment, what it has spawned, and the tokens it holds."""
    seen = visible(AgentInstance.objects.live(), actor, Right.READ_DIRECTORY)
    active = seen.filter(
        template=instance.template_id, environment=instance.environment_id, state=InstanceState.ACTIVE
    )
    live = Q(key__expires_at=None) | Q(key__expires_at__gt=clock.now())
    return Reach(
        colleagues=active.exclude(pk=instance.pk).count(),
        children=seen.filter(parent=instance).count(),
        tokens=KeyScope.objects.filter(live, instance=instance, key__revoked_at=None).count(),
    )


_MOVED_BY: Mapping[Move, frozenset[Right]] = {
    Move.ACTIVATION: frozenset({Right.PROVISION_INSTANCE}),
    Move.RESTRICTION: frozenset({Right.RESTRICT_INSTANCE}),
    Move.RELEASE: frozenset({Right.RELEASE_INSTANCE, Right.APPROVE_RELEASE}),
}


def instance_page(instance: AgentInstance, actor: User) -> InstancePage:
    """Everything about an instance that `actor`, who may see it, may see."""
    rights = held_on(actor, instance)
    instance.certainty = gates.certainties([instance]).get(instance.pk, "")
    intervals = InstanceInterval.objects.filter(instance=instance).order_by("-since", "-pk")
    return InstancePage(
        steps=tuple(_instance_steps(instance, rights)),
        diagram=_diagram(instance),
        waits_for=tuple(waits_for(instance)) if instance.state == InstanceState.DRAINING else (),
        stale=instance.is_stale(clock.now()),
        intervals=tuple(intervals[:SHOWN]),
        changes=changes_of(instance, rights),
        rights=rights,
    )


def _diagram(instance: AgentInstance) -> Diagram:
    moves = {state.value: sorted(ways) for state, ways in INSTANCE_MOVES.items()}
    return layout(InstanceState.choices, moves, instance.state)


def _instance_steps(instance: AgentInstance, rights: frozenset[Right]) -> Sequence[Step]:
    steps = []
    begins: list[gates.Verdict] = []
    for to in InstanceState:
        kind = instance_move(instance.state, to)
        if kind is None:
            continue
        wanted = _MOVED_BY.get(kind) or _retired_by(instance)
        verdicts: list[gates.Verdict] = []
        if to is InstanceState.RETIRED:
            verdicts = gates.for_retirement(instance)
        elif kind is not Move.RESTRICTION and ALLOWS[to].new_work:
            begins = verdicts = begins or gates.for_release(instance, to)
        elif kind is Move.RELEASE:
            verdicts = gates.for_release(instance, to)
        steps.append(Step(to.value, to.label, bool(wanted & rights), tuple(verdicts), kind.value))
    return steps


def _retired_by(instance: AgentInstance) -> frozenset[Right]:
    quarantined = instance.state == InstanceState.QUARANTINED
    return frozenset({Right.TERMINATE_INSTANCE if quarantined else Right.PROVISION_INSTANCE})


def moves_of(instance: AgentInstance) -> tuple[InstanceState, ...]:
    """Where the lifecycle lets an instance go from here."""
    return tuple(state for state in InstanceState if state in INSTANCE_MOVES[InstanceState(instance.state)])


def releases_of(instance: AgentInstance) -> tuple[InstanceState, ...]:
    """Where a release could let an instance go from here."""
    return tuple(
        state for state in moves_of(instance) if instance_move(instance.state, state) is Move.RELEASE
    )
