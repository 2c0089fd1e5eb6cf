"""Who approved a version, how far its approvals have come, and which candidates wait for somebody."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from arm.models import ChangeRecord, User
from arm.permissions import visible
from arm.queries import single_handed
from arm.rights import Right

from ..gates.approving import REACHED, Quorum, most_asked, quorum
from ..lifecycle import VersionState
from ..models import AgentVersion, VersionApproval


def approved_by(version: AgentVersion, rights: frozenset[Right]) -> ChangeRecord | None:
    """The newest record of its move to Approved, for whoever may read it; None where it never got there."""
    if version.state not in REACHED or not rights & {Right.READ_AUDIT, Right.READ_DIRECTORY}:
        return None
    moves = ChangeRecord.objects.about(version).filter(verb="registry.version.moved")
    return moves.filter(after__state=VersionState.APPROVED).first()


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """An approval, and what has become of it: `counts`, `withdrawn`, `lapsed` (its giver may not approve it any more) or
    `voided` (of an earlier round)."""

    approval: VersionApproval
    standing: str


@dataclass(frozen=True, slots=True)
class Approving:
    """How the approvals of a version stand, for one person."""

    quorum: Quorum
    rows: tuple[ApprovalRow, ...]
    may_approve: bool
    may_withdraw: bool


def approving(version: AgentVersion, actor: User, rights: frozenset[Right]) -> Approving:
    found = quorum(version)
    counts, lapsed = {row.pk for row in found.given}, {row.pk for row in found.lapsed}

    def standing(row: VersionApproval) -> str:
        if row.pk in counts:
            return "counts"
        if row.withdrawn:
            return "withdrawn"
        return "lapsed" if row.pk in lapsed else "voided"

    rows = VersionApproval.objects.for_list().filter(version=version)
    mine = any(row.person_id == actor.pk for row in (*found.given, *found.lapsed))
    candidate = version.state == VersionState.CANDIDATE
    own = actor.pk in (version.created_by_id, version.submitted_by_id) and not single_handed(
        version.tenant_id
    )
    more = version.state == VersionState.APPROVED and most_asked(version.tenant_id) > len(found.given)
    may = (candidate or more) and Right.APPROVE_VERSION in rights and not mine and not own
    return Approving(
        quorum=found,
        rows=tuple(ApprovalRow(row, standing(row)) for row in rows),
        may_approve=may and actor.kind == User.Kind.PERSON,
        may_withdraw=candidate and mine,
    )


def waiting_for(rows: QuerySet[AgentVersion], actor: User) -> QuerySet[AgentVersion]:
    """Candidates that this person may approve and has not: neither built nor submitted by them."""
    spoken = VersionApproval.objects.filter(
        version=OuterRef("pk"), round=OuterRef("candidate_round"), person=actor, withdrawal=None
    )
    found = rows.filter(state=VersionState.CANDIDATE).exclude(Q(created_by=actor) | Q(submitted_by=actor))
    return visible(found.exclude(Exists(spoken)), actor, Right.APPROVE_VERSION)
