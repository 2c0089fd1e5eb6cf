"""Rollback: a slot goes back to the version before, its instances follow, and one record says all of it."""

from collections.abc import Sequence
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

from .. import gates
from ..engine import Drain
from ..gates.returning import for_return, warned
from ..lifecycle import VersionState
from ..models import AgentVersion, DeploymentSlot, Rollback, Rollout, RolloutSlot
from .asking import require_reason
from .binding import locked_slots, rebind, tell_bound, whole_version
from .dossiers import sign_dossier
from .handovers import Keep, within_asked
from .lifecycles import carry_out, set_due
from .locking import locked
from .news import tell
from .replacing import replace
from .steps import previous_of, take_back

VERB = "registry.slot.rolled_back"


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
) -> Rollback:
    """Bind the slot to its previous version again, which stays approved and is not approved anew.

    The version left is deprecated as rolled back; as many instances as the slot had of it are provisioned on the target,
    and its own drain: with `drain` “replaced” as those come to work, `within` a time at most; with “at_once” now, which
    is the default where an `incident` says that harm is done. `also`: other slots that are bound to the version left and
    go back too; no other slot changes. A rollout that holds one of the slots is aborted. Without `incident` one is opened.

    Conflict where there is nothing to go back to, or where a slot is not bound to `leaving` (any more); GateRefused
    where the target may not run there (any more), its genome was tampered with, or no policy would hold. Whatever else a
    binding asks and it lacks by now (a certification, a card) is a warning in the record and the dossier.
    """
    slots = [slot, *also]
    for one in slots:
        require(actor, Right.ROLL_BACK_RELEASE, one)
    require_reason(reason)
    chosen = within_asked(drain or (Drain.AT_ONCE if incident else Drain.REPLACED), within)
    aborted = _take_rollouts(slots)
    held = {
        row.pk: row
        for row in locked_slots([one.pk for one in slots] + [pk for _, pks in aborted for pk in pks])
    }
    _refuse_news(slots, aborted)
    taken = [held[one.pk] for one in dict.fromkeys(slots)]
    first = taken[0]
    left = leaving or first.current_version
    for one in taken:
        if one.previous_version is None:
            raise Conflict(f"{one} has no previous version to go back to.")
        if left is None or one.current_version != left:
            raise Conflict(f"{one} is bound to {one.current_version or 'nothing'} by now, not to {left}.")
    assert left is not None
    for rollout, pks in aborted:
        names = {one.pk for one in taken}
        for pk in pks:
            if pk not in names:  # the end of the rollout takes these back, too
                require(actor, Right.ROLL_BACK_RELEASE, held[pk])
        keep = Keep(chosen, rollout=rollout) if chosen else None
        take_back(rollout, [held[pk] for pk in pks], actor, reason, without=names, keep=keep)
    left = _deprecated(left, actor, reason)
    incident = incident or _incident(first, left, reason)
    made = [
        _roll_back(held[one.pk], left, actor, reason, incident, taken, [r.typeid for r, _ in aborted], chosen)
        for one in taken
    ]
    return made[0]


def _take_rollouts(slots: Sequence[DeploymentSlot]) -> list[tuple[Rollout, list[UUID]]]:
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
    )


def _roll_back(
    slot: DeploymentSlot,
    left: AgentVersion,
    actor: User,
    reason: str,
    incident: UUID,
    together: Sequence[DeploymentSlot],
    aborted: Sequence[str],
    within: timedelta | None,
) -> Rollback:
    assert slot.previous_version is not None
    target = whole_version(slot.previous_version.pk)
    needed, others = for_return(slot, target)
    gates.refuse_unless_passed(needed, f"{slot} is not bound to {target}")
    warnings = warned(others)
    now = clock.now()
    own = ids.uuid7()
    before_that = previous_of(slot, target)
    before = rebind(slot, target, actor, reason, previous=before_that)
    keep = Keep(within, rollback=own) if within else None
    replaced = replace(slot, left, target, actor, reason, keep=keep)
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
        "incident": str(incident),
        "actor": str(actor),
        "at": now.isoformat(),
        "drain": Drain.REPLACED if within else Drain.AT_ONCE,
        "instances": replaced.facts(),
        "together": [one.typeid for one in together],
        "rollouts_aborted": list(aborted),
        "warnings": warnings,
    }
    facts = {
        "rollback": dossier["rollback"],
        "incident": str(incident),
        "dossier": digest(canonical(dossier)),
        **replaced.facts(),
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
