"""Approve a candidate, and take an approval back: each person speaks once, and the last one needed moves the version."""

from typing import Any

from django.db import transaction

from arm import changes
from arm.errors import Conflict, NotAllowed
from arm.models import User
from arm.permissions import require
from arm.queries import single_handed
from arm.rights import Right

from .. import gates
from ..gates.approving import QUORUM, as_counted, most_asked, quorum
from ..lifecycle import VersionState
from ..models import AgentVersion, ApprovalWithdrawal, VersionApproval
from .asking import require_reason
from .lifecycles import carry_out
from .locking import locked
from .news import tell


@transaction.atomic
def approve_version(*, version: AgentVersion, actor: User, reason: str) -> AgentVersion:
    """Approve a candidate. It becomes Approved with the last approval that it needs, and stays a candidate until then.
    What is Approved is approved by more people while a role of the tenant asks for more than have approved it.

    NotAllowed for who built or submitted it; Conflict where it is neither, or the person has approved it already;
    GateRefused names whatever else it lacks.
    """
    version = _locked(version)
    require(actor, Right.APPROVE_VERSION, version)
    require_reason(reason)
    if version.state not in (VersionState.CANDIDATE, VersionState.APPROVED):
        raise Conflict(f"{version} is {version.get_state_display()}; only a candidate is approved.")
    facts = separation(version, actor)
    held = quorum(version)
    if any(row.person_id == actor.pk for row in held.given):
        raise Conflict(f"You have approved {version} already. {held.sentence}")
    if version.state == VersionState.APPROVED and most_asked(version.tenant_id) <= len(held.given):
        raise Conflict(f"{version} is Approved, and no role here asks for more. {held.sentence}")
    give(version, actor, reason)
    if version.state == VersionState.APPROVED:
        return version
    verdicts = gates.for_promotion(version, VersionState.APPROVED)
    waits = [one for one in verdicts if one.gate == QUORUM and not one.passed]
    others = [one for one in verdicts if one not in waits]
    gates.refuse_unless_passed(others, f"{version} is not ready to be Approved")
    if waits:
        return version
    passed = [{"gate": verdict.gate, "reason": verdict.reason} for verdict in verdicts]
    return carry_out(
        version, VersionState.APPROVED, actor, reason, gates=passed, **as_counted(version), **facts
    )


@transaction.atomic
def withdraw_approval(*, version: AgentVersion, actor: User, reason: str) -> VersionApproval:
    """Take one's own approval back, while the version is still a candidate. It takes no right but to have given it.

    Conflict where there is none that stands.
    """
    require(actor, Right.READ_DIRECTORY, version)
    require_reason(reason)
    version = _locked(version)
    row = VersionApproval.objects.standing(version).filter(person=actor).first()
    if row is None:
        raise Conflict(f"No approval of yours stands for {version}.")
    if version.state != VersionState.CANDIDATE:
        raise Conflict(
            f"{version} is {version.get_state_display()} already; an approval of it cannot be taken back."
        )
    ApprovalWithdrawal.objects.create(
        tenant_id=version.tenant_id, approval=row, reason=reason, credential=changes.credential.get()
    )
    left = quorum(version)
    after = {"approval": row.typeid, "round": row.round, "said": left.sentence}
    record = changes.record(
        actor, "registry.version.approval_withdrawn", version, after=after, reason=reason, links=[row.typeid]
    )
    tell(record, version)
    return row


def give(version: AgentVersion, actor: User, reason: str) -> VersionApproval:
    """Keep the approval of somebody who was asked for the right, with its record. The version is locked."""
    mine = VersionApproval.objects.filter(version=version, round=version.candidate_round, person=actor)
    row = VersionApproval.objects.create(
        tenant_id=version.tenant_id,
        version=version,
        template=version.template,
        round=version.candidate_round,
        genome_digest=version.genome.digest,
        person=actor,
        nth=mine.count() + 1,
        reason=reason,
        credential=changes.credential.get(),
    )
    after = {
        "approval": row.typeid,
        "round": row.round,
        "genome": row.genome_digest,
        "said": quorum(version).sentence,
    }
    record = changes.record(
        actor, "registry.version.approval_given", version, after=after, reason=reason, links=[row.typeid]
    )
    tell(record, version)
    return row


def give_last(version: AgentVersion, actor: User, reason: str) -> None:
    """Who moves a candidate to Approved approves it by that, where nobody else has to any more."""
    held = quorum(version)
    if held.left <= 1 and all(row.person_id != actor.pk for row in held.given):
        give(version, actor, reason)


def separation(version: AgentVersion, actor: User) -> dict[str, Any]:
    """Nobody approves what they have built or submitted themselves, and no service account approves anything."""
    if actor.kind != User.Kind.PERSON:
        raise NotAllowed(
            f"{actor} is a service account; people approve versions.", right=Right.APPROVE_VERSION.value
        )
    if actor.pk not in (version.created_by_id, version.submitted_by_id):
        return {}
    if single_handed(version.tenant_id):
        return {"sod_mode": "reduced"}
    part = "built" if actor.pk == version.created_by_id else "submitted"
    raise NotAllowed(f"You {part} {version}; somebody else approves it.", right=Right.APPROVE_VERSION.value)


def _locked(version: AgentVersion) -> AgentVersion:
    return locked(AgentVersion.objects.select_related("template", "genome"), version.pk)
