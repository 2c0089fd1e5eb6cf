"""Rollback: a slot goes back to the version before, its instances follow, and one record says all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from arm import changes, clock, ids
from arm.crypto import canonical, digest
from arm.errors import Conflict
from arm.models import User
from arm.permissions import require
from arm.ports import incidents
from arm.rights import Right

from .. import gates, queries
from ..engine import Drain, StepState
from ..gates.returning import for_return, warned
from ..lifecycle import VersionState
from ..models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    Rollback,
    Rollout,
    RolloutSlot,
    SlotBinding,
    go_back_to,
)
from ..queries.replacing import ABLE, were_leaving
from ..queries.rollbacks import Ended, members, own_canary
from .asking import require_reason
from .binding import locked_slots, locked_versions, rebind, refuse_together, tell_bound, whole_version
from .dossiers import sign_dossier
from .handovers import Keep, within_asked
from .lifecycles import carry_out, set_due
from .locking import locked
from .news import tell
from .replacing import replace
from .steps import take_back, told_of

VERB = "registry.slot.rolled_back"
INCIDENT = "inc"
"""How identifiers of incidents begin, which are kept above."""


@dataclass(frozen=True, slots=True)
class _Ends:
    """What ended the rollout that held a slot; there, the share of its canary (0: none) and how long that is kept."""

    ended: Ended
    share: int
    keep: Keep | None


@transaction.atomic
def roll_back_slot(
    *,
    slot: DeploymentSlot,
    actor: User,
    reason: str,
    leaving: AgentVersion | None = None,
    incident: UUID | None = None,
    also: Sequence[DeploymentSlot] = (),
    drain: str = "",
    within: timedelta | None = None,
    seen: Mapping[UUID, UUID] | None = None,
) -> Rollback:
    """Bind the slot to its previous version again (`goes_back_to`), which stays approved and is not approved anew.

    The version left is deprecated as rolled back; as many instances as the slot had of it are provisioned on the target,
    and its own drain: with `drain` “replaced” as those come to work, `within` a time at most; with “at_once” now, which
    is the default where an `incident` says that harm is done. `also`: other slots that are bound to the version left and
    go back too; no other slot changes. A rollout that holds one of the slots is aborted. Without `incident` one is opened.
    `seen`: every slot that was shown to change, and which version it goes to (`RollbackPreview.targets`, by keys); Conflict
    where anything of that is otherwise by now, in words and as `targets`.

    Invalid where there is no `incident` that the actor sees, Conflict where it is settled, where there is nothing to go
    back to, or where a slot is not bound to `leaving` (any more); GateRefused
    where the target may not run there (any more), its genome was tampered with, or no policy would hold. Whatever else a
    binding asks and it lacks by now (a certification, a card) is a warning in the record and the dossier.
    """
    slots = [slot, *also]
    _require(slots, actor)
    require_reason(reason)
    chosen = within_asked(drain or (Drain.AT_ONCE if incident else Drain.REPLACED), within)
    aborted, held = _take([one.pk for one in slots])
    _refuse_news(slots, aborted)
    taken = [held[one.pk] for one in dict.fromkeys(slots)]
    first = taken[0]
    left = leaving or first.current_version
    left = _agreed(taken, left)
    rows = queries.held_with(held)
    brought = [row.from_version_id for row in rows if row.from_version_id]
    back = go_back_to(taken)
    known = locked_versions(
        [left.pk, *(to.pk for to in back.values() if to), *brought]
    )  # at once, in one order
    _agreed(taken, left)  # somebody else may just have left what these go back to
    back = go_back_to(taken)
    if news := [one for one in taken if (to := back[one.pk]) and to.pk not in known]:
        raise Conflict(f"What {news[0]} goes back to has just been left elsewhere; look again.")
    names = {one.pk for one in taken}
    for row in rows:
        if row.slot_id not in names:  # the end of its rollout takes it back, too
            require(actor, Right.ROLL_BACK_RELEASE, held[row.slot_id])
    _refuse_otherwise(seen, queries.rebinds(taken, rows, back), held)
    ends: dict[UUID, _Ends] = {}
    for rollout, pks in aborted:
        keep = Keep(chosen, rollout=rollout) if chosen else None
        own = [held[pk] for pk in pks if pk in names]
        again = were_leaving(rollout, names)
        tried = {one.pk: one.canary_share for one in own if one.canary_version_id == rollout.version_id}
        ended = take_back(rollout, [held[pk] for pk in pks], actor, reason, without=names, keep=keep)
        for one in own:
            kept = Keep(rollout=rollout) if one.pk in again else keep
            ends[one.pk] = _Ends(ended, tried.get(one.pk, 0), kept)
    left = _deprecated(left, actor, reason)
    if incident:
        incidents().named(tenant_id=first.tenant_id, incident_id=incident, actor=actor)
    else:
        incident = _incident(first, left, reason)
    onto = {one.pk: whole_version(to.pk) for one in taken if (to := back[one.pk])}
    _refuse_unfit(taken, onto)
    pausing = queries.rollouts_of(left, without=names)
    made = [
        _roll_back(
            one,
            left,
            onto[one.pk],
            actor,
            reason,
            incident,
            taken,
            [r for r, _ in aborted],
            pausing,
            chosen,
            ends.get(one.pk),
        )
        for one in taken
    ]
    return made[0]


def _agreed(slots: Sequence[DeploymentSlot], left: AgentVersion | None) -> AgentVersion:
    """The version that all of them leave. Conflict names each that has nothing to go back to, or another version by now."""
    wrong = []
    for one in slots:
        if one.goes_back_to is None:
            wrong.append(f"{one} has no previous version to go back to.")
        elif left is None or one.current_version != left:
            wrong.append(f"{one} is bound to {one.current_version or 'nothing'} by now, not to {left}.")
    if wrong:
        raise Conflict(" ".join(wrong))
    assert left is not None
    return left


def _refuse_otherwise(
    seen: Mapping[UUID, UUID] | None, now: Mapping[UUID, UUID], held: Mapping[UUID, DeploymentSlot]
) -> None:
    """Before anything is done: it does what was shown, or nothing."""
    if seen is None or seen == now:
        return
    said = " ".join(queries.otherwise(seen, now, held))
    told = {held[pk].typeid: ids.encode(AgentVersion.prefix, to) for pk, to in sorted(now.items())}
    raise Conflict(f"Nothing is rolled back: it is otherwise than was shown. {said}", targets=told)


def _refuse_unfit(slots: Sequence[DeploymentSlot], onto: Mapping[UUID, AgentVersion]) -> None:
    """Before any of them is bound: what each of them lacks for what it goes back to, all at once."""
    refused = []
    for slot in slots:
        target = onto[slot.pk]
        try:
            gates.refuse_unless_passed(for_return(slot, target)[0], f"{slot} is not bound to {target}")
        except gates.GateRefused as one:
            refused.append((slot, one))
    refuse_together(refused, None, "Nothing is rolled back")


def hold_for_rollback(*, slots: Sequence[DeploymentSlot], actor: User) -> None:
    """For who compares a slot with what was read before it is rolled back: nobody changes it until this transaction ends.
    Rollouts first, then slots, as everybody takes them. Who may not roll them back holds up nobody: NotAllowed."""
    _require(slots, actor)
    _take([one.pk for one in slots])


def _require(slots: Sequence[DeploymentSlot], actor: User) -> None:
    for one in slots:
        require(actor, Right.ROLL_BACK_RELEASE, one)


def _take(slot_ids: Sequence[UUID]) -> tuple[list[tuple[Rollout, list[UUID]]], dict[UUID, DeploymentSlot]]:
    """The rollouts that hold these slots, each with all that it has, and all these slots: locked."""
    aborted = _take_rollouts(slot_ids)
    rows = locked_slots([*slot_ids, *(pk for _, pks in aborted for pk in pks)])
    return aborted, {row.pk: row for row in rows}


def _take_rollouts(slots: Sequence[UUID]) -> list[tuple[Rollout, list[UUID]]]:
    """The rollouts that hold these slots, locked before any slot, each with all the slots it has."""
    held = RolloutSlot.objects.filter(slot__in=slots, held=True).values_list("rollout", flat=True)
    found = []
    for pk in sorted(set(held)):
        rollout = locked(Rollout.objects.select_related("environment", "role", "version__template"), pk)
        if rollout.held:
            found.append((rollout, [row.slot_id for row in rollout.slots.all()]))
    return found


def _refuse_news(slots: Sequence[DeploymentSlot], aborted: Sequence[tuple[Rollout, list[UUID]]]) -> None:
    known = {rollout.pk for rollout, _ in aborted}
    rows = RolloutSlot.objects.filter(slot__in=slots, held=True).exclude(rollout__in=known)
    if news := rows.select_related("slot__role", "slot__environment").first():
        raise Conflict(f"A rollout has just taken {news.slot}; look again.")


def _deprecated(version: AgentVersion, actor: User, reason: str) -> AgentVersion:
    """The version left takes no new binding anywhere; whoever still binds it keeps it until somebody decides. One that was
    never approved has no Deprecated to go to: it stays what it is, marked, and climbs no further."""
    version = locked(AgentVersion.objects.select_related("template", "genome"), version.pk)
    before = {"state": version.state, "rolled_back": version.rolled_back}
    version.rolled_back = True
    version.save(update_fields=["rolled_back"])
    if version.state == VersionState.APPROVED:
        return carry_out(version, VersionState.DEPRECATED, actor, reason, rolled_back=True)
    after = {"state": version.state, "rolled_back": True, "genome": version.genome.digest}
    version.save(update_fields=set_due(version, clock.now(), after))
    tell(
        changes.record(
            actor, "registry.version.rolled_back", version, before=before, after=after, reason=reason
        ),
        version,
    )
    return version


def _incident(slot: DeploymentSlot, left: AgentVersion, reason: str) -> UUID:
    return incidents().open(
        tenant_id=slot.tenant_id,
        kind="quality_regression",
        severity="s2",
        title=f"{left} was rolled back in {slot}"[:200],
        subject_kind=left._meta.label_lower,
        subject_id=left.pk,
        facts={"slot": slot.typeid, "version": left.typeid, "reason": reason},
        again=True,
    )


def _rollouts(slot: DeploymentSlot, left: AgentVersion, aborted: Sequence[Rollout]) -> list[dict[str, Any]]:
    """How the version left came into the slot, and what was aborted: each step that began, what it waited for, and how
    it was judged. People are in the records of the steps, not here."""
    brought = SlotBinding.objects.filter(slot=slot, version=left, until=None).exclude(rollout=None)
    named = {rollout.pk for rollout in aborted} | set(brought.values_list("rollout", flat=True))
    rows = Rollout.objects.filter(pk__in=named).prefetch_related("steps").order_by("pk")
    return [
        {
            "rollout": rollout.typeid,
            "strategy": rollout.strategy,
            "state": rollout.state,
            "steps": [
                {
                    **told_of(step),
                    "percent": step.percent,
                    "batch": step.batch,
                    "state": step.state,
                    "health": step.health,
                    "confirmed": bool(step.confirmed_by),
                }
                for step in rollout.steps.all()
                if step.state != StepState.WAITING
            ],
        }
        for rollout in rows
    ]


def _roll_back(
    slot: DeploymentSlot,
    left: AgentVersion,
    target: AgentVersion,
    actor: User,
    reason: str,
    incident: UUID,
    together: Sequence[DeploymentSlot],
    aborted: Sequence[Rollout],
    pausing: Sequence[UUID],
    within: timedelta | None,
    ends: _Ends | None,
) -> Rollback:
    warnings = warned(for_return(slot, target)[1])
    now = clock.now()
    own = ids.uuid7()
    rollouts = _rollouts(slot, left, aborted)
    elsewhere = [ids.encode(Rollout.prefix, key) for key in pausing]
    before = rebind(slot, target, actor, reason, previous=slot.before(target), returned=True)
    keep = Keep(within, rollback=own) if within else None
    tried = ends.ended.rollout if ends and ends.share else None
    beside = tried.version if tried and tried.version_id != target.pk else None
    kept = ends.keep if ends else None
    replaced = replace(
        slot, left, target, actor, reason, keep=keep, beside=beside, keep_beside=kept if beside else None
    )
    stopped = AgentInstance.objects.live().filter(slot=slot, version=target).exclude(state__in=ABLE)
    canary = [own_canary(tried, slot, ends.share, replaced, stopped.count())] if ends and tried else []
    also = members(replaced, canary, ends.ended if ends else None)
    dossier: dict[str, Any] = {
        "schema": "arm.rollback/v1",
        "rollback": ids.encode(Rollback.prefix, own),
        "slot": slot.typeid,
        "environment": slot.environment.slug,
        "role": slot.role.slug,
        "provider": slot.provider.slug,
        "generation": slot.generation,
        "from": {"version": left.typeid, "name": str(left), "genome": left.genome.digest},
        "to": {"version": target.typeid, "name": str(target), "genome": target.genome.digest},
        "reason": reason,
        "incident": ids.encode(INCIDENT, incident),
        "actor": str(actor),
        "at": now.isoformat(),
        "drain": Drain.REPLACED if within else Drain.AT_ONCE,
        "instances": replaced.facts(),
        **also,
        "together": [one.typeid for one in together],
        "rollouts_aborted": [rollout.typeid for rollout in aborted],
        "rollouts_elsewhere": elsewhere,
        "rollouts": rollouts,
        "carried": [asdict(one) for one in replaced.carried],
        "warnings": warnings,
    }
    facts = {
        "rollback": dossier["rollback"],
        "incident": dossier["incident"],
        "dossier": digest(canonical(dossier)),
        **replaced.facts(),
        **also,
        **({"rollouts_elsewhere": elsewhere} if elsewhere else {}),
        **({"warnings": warnings} if warnings else {}),
    }
    links = [dossier["rollback"], left.typeid, target.typeid]
    record = tell_bound(VERB, slot, before, actor, reason, facts, links=links)
    made = Rollback.objects.create(
        id=own,
        tenant_id=slot.tenant_id,
        slot=slot,
        from_version=left,
        to_version=target,
        reason=reason,
        incident_id=incident,
        actor=actor,
        actor_label=str(actor)[:200],
        at=now,
        drained=replaced.drained,
        provisioned=replaced.provisioned,
        change_id=record.pk,
        dossier=dossier,
    )
    sign_dossier(made)
    return made
