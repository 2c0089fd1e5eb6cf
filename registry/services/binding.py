"""How a slot comes to a version: the one way that binding, rollouts and rollbacks share. Callers have asked the right."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db.models import Q

from arm import changes, clock, ids, tasks
from arm.errors import Conflict
from arm.models import ChangeRecord, User
from arm.queries import single_handed

from .. import gates
from ..models import AgentVersion, DeploymentSlot, ReleaseException, Rollout, RolloutSlot, SlotBinding
from .asking import Duplicate
from .handovers import keep_on
from .locking import locked

SLOTS = DeploymentSlot.objects.select_related(
    "environment", "role", "provider", "current_version__template", "previous_version__template"
)


def locked_slot(slot_id: UUID) -> DeploymentSlot:
    return locked(SLOTS, slot_id)


def locked_slots(slot_ids: Sequence[UUID]) -> list[DeploymentSlot]:
    """Several at once, always in the same order: two who take the same ones never wait for each other."""
    return [locked_slot(pk) for pk in sorted(set(slot_ids))]


def whole_version(version_id: UUID) -> AgentVersion:
    return AgentVersion.objects.select_related("template", "genome").get(pk=version_id)


def locked_version(version_id: UUID) -> AgentVersion:
    """After the slots: nobody deprecates it while it is being bound."""
    return locked(AgentVersion.objects.select_related("template", "genome"), version_id)


def locked_versions(version_ids: Iterable[UUID]) -> dict[UUID, AgentVersion]:
    """Several at once, as `locked_version`, always in the same order."""
    return {pk: locked_version(pk) for pk in sorted(set(version_ids))}


def refuse_if_held(slot: DeploymentSlot) -> None:
    """Conflict while a rollout has this slot: it alone rebinds it, until it has ended."""
    held = RolloutSlot.objects.filter(slot=slot, held=True).select_related("rollout").first()
    if held is not None:
        raise Conflict(
            f"{slot} is held by a rollout that is {held.rollout.get_state_display()}; let it end, or abort it.",
            rollout=held.rollout.typeid,
        )


def ask_gates(
    slot: DeploymentSlot, version: AgentVersion, actor: User | None, *, rollout: Rollout | None = None
) -> list[ReleaseException]:
    """Ask every gate of a binding. What stands in the way is refused, all at once, unless an exception covers it.

    Returns the exceptions that were needed and are not used yet. One that the actor granted does not count for them.
    """
    verdicts = gates.for_binding(slot, version)
    failing = [verdict for verdict in verdicts if not verdict.passed]
    if not failing:
        return []
    live = Q(used_at=None, withdrawn_at=None, until__gt=clock.now())
    if rollout is not None:
        live |= Q(used_in=rollout)
    held = ReleaseException.objects.select_for_update().filter(
        live, slot=slot, version=version, gate__in=gates.EXCEPTED
    )
    if not single_handed(slot.tenant_id):
        held = held.exclude(granted_by__in=_who_wants_it(actor, rollout), used_in=None)
    covered = {exception.gate: exception for exception in held.order_by("-pk")}
    gates.refuse_unless_passed(
        [verdict for verdict in failing if verdict.gate not in covered], f"{slot} is not bound to {version}"
    )
    needed = [covered[verdict.gate] for verdict in failing]
    return [exception for exception in needed if exception.used_at is None]


def ask_gates_and(
    verdict: gates.Verdict, slot: DeploymentSlot, version: AgentVersion, actor: User
) -> list[ReleaseException]:
    """The gates of one slot; its refusal also names the drift, so that nobody learns of one after the other."""
    try:
        return ask_gates(slot, version, actor)
    except gates.GateRefused as refused:
        if not verdict.passed:
            refused.extra["gates"] = [*refused.extra["gates"], asdict(verdict)]  # type: ignore[misc]
        raise


def ask_gates_of_all(
    verdict: gates.Verdict, slots: Sequence[DeploymentSlot], version: AgentVersion, actor: User, what: str
) -> list[ReleaseException]:
    """The gates of several slots; a refusal names what each of them lacks, and the drift."""
    spent: list[ReleaseException] = []
    refused = []
    for slot in slots:
        try:
            spent += ask_gates(slot, version, actor)
        except gates.GateRefused as one:
            refused.append((slot, one))
    refuse_together(refused, verdict, what)
    return spent


def refuse_together(
    refused: Sequence[tuple[DeploymentSlot, gates.GateRefused]], verdict: gates.Verdict | None, what: str
) -> None:
    """One GateRefused for all of these slots: each of its `gates` has the slot that it is about, and its name."""
    if not refused:
        gates.refuse_unless_passed([verdict] if verdict else [], what)
        return
    found = [
        {**gate, "slot": slot.typeid, "slot_name": str(slot)}
        for slot, one in refused
        for gate in one.extra["gates"]  # type: ignore[attr-defined]
    ]
    said = [str(one) for _, one in refused]
    if verdict is not None and not verdict.passed:
        found.append(asdict(verdict))
        said.append(verdict.reason)
    raise gates.GateRefused(f"{what}: {' '.join(said)}" if len(said) > 1 else said[0], gates=found)


def _who_wants_it(actor: User | None, rollout: Rollout | None) -> set[UUID]:
    """Whose own exceptions do not count: who acts, or, where a rollout goes on by itself, who let it go on."""
    if actor is not None:
        return {actor.pk}
    if rollout is None:
        return set()
    verbs = ("registry.rollout.planned", "registry.rollout.started", "registry.rollout.resumed")
    told = ChangeRecord.objects.about(rollout).filter(verb__in=verbs).exclude(actor_id=None)
    return {pk for pk in told.values_list("actor_id", flat=True) if pk is not None}


def use(
    exceptions: Sequence[ReleaseException], actor: User | None, rollout: Rollout | None = None
) -> list[str]:
    """The exceptions are spent. Returns their identifiers, for the record of what they were spent on."""
    for exception in exceptions:
        exception.used_at, exception.used_by_label = clock.now(), str(actor or "ARM")[:200]
        exception.used_in = rollout
        exception.save(update_fields=["used_at", "used_by_label", "used_in"])
    return [exception.typeid for exception in exceptions]


def as_bound(slot: DeploymentSlot) -> dict[str, Any]:
    """What a slot has, as its records say it before and after: the versions by identifier, "" for none."""
    keys = {
        "version": slot.current_version_id,
        "previous": slot.previous_version_id,
        "canary": slot.canary_version_id,
    }
    named = {name: ids.encode("ver", key) if key else "" for name, key in keys.items()}
    return {**named, "share": slot.canary_share, "generation": slot.generation}


def rebind(
    slot: DeploymentSlot,
    version: AgentVersion,
    actor: User | None,
    reason: str,
    *,
    previous: AgentVersion | None,
    rollout: Rollout | None = None,
    returned: bool = False,
    again: bool = False,
) -> dict[str, Any]:
    """The locked slot bound to the version, with its history. Returns what it was; `tell_bound` records it.

    `returned`: the slot goes back to it, which proves nothing new. `again`: it may be what the slot has."""
    left = slot.current_version
    if left == version and not again:
        raise Duplicate(f"{slot} is bound to {version} already.", slot)
    now = clock.now()
    keep_on(slot, version)
    before = as_bound(slot)
    slot.previous_version, slot.current_version = previous, version
    slot.canary_version, slot.canary_share = None, 0
    slot.generation += 1
    slot.save(
        update_fields=["previous_version", "current_version", "canary_version", "canary_share", "generation"]
    )
    slot.bound_since = now  # type: ignore[attr-defined]  # for the record, to the microsecond
    SlotBinding.objects.filter(slot=slot, until=None).update(until=now)
    SlotBinding.objects.create(
        tenant_id=slot.tenant_id,
        slot=slot,
        version=version,
        since=now,
        actor_label=str(actor or "ARM")[:200],
        reason=reason,
        rollout=rollout,
        returned=returned,
    )
    return before


def tell_bound(
    verb: str,
    slot: DeploymentSlot,
    before: Mapping[str, Any],
    actor: User | None,
    reason: str,
    facts: Mapping[str, Any] | None = None,
    *,
    links: Sequence[str] = (),
) -> ChangeRecord:
    """The record that a slot is bound, and the news of it."""
    version = slot.current_version
    assert version is not None
    after = {
        **as_bound(slot),
        "genome": version.genome.digest,
        "since": clock.exactly(slot.bound_since),  # type: ignore[attr-defined]
        **(facts or {}),
    }
    record = changes.record(actor, verb, slot, before=before, after=after, reason=reason, links=links)
    tasks.announce(
        record.verb,
        tenant_id=slot.tenant_id,
        slot_id=str(slot.pk),
        version_id=str(version.pk),
        change_id=str(record.pk),
    )
    return record
