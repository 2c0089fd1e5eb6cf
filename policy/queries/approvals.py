"""Requests for a second person: whose turn it is, what the approver's page shows, and why somebody may not decide."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, Q, QuerySet

from arm import clock
from arm.models import ChangeRecord, Membership, Team, Tenant, User
from arm.permissions import allowed, visible
from arm.queries import single_handed
from arm.rights import Right
from arm.roles import ROLES

from ..lifecycle import OPEN, WAITING, ApprovalKind, ApprovalState
from ..models import ApprovalDecision, ApprovalRequest, Decision, PolicyVersion
from .deciding import right_to_decide, takes_part, wrong_roles
from .decisions import Reason, explained, latest
from .people import holders

SHOWN = 10


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A request with its true state: one whose time is over is expired, whether or not that is written yet."""

    request: ApprovalRequest
    state: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether this person may decide, and the sentence that says why not."""

    may: bool
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalPage:
    request: ApprovalRequest
    state: str
    standing: Standing
    may_cancel: bool
    who_may: tuple[str, ...]
    roles: tuple[str, ...]
    decisions: tuple[ApprovalDecision, ...]
    yes: int
    reasons: tuple[Reason, ...]
    versions: tuple[PolicyVersion, ...]
    latest: tuple[Decision, ...]
    asked: Decision | None
    used: Decision | None
    changes: tuple[ChangeRecord, ...]


def true_state(request: ApprovalRequest) -> str:
    if request.state in OPEN and request.expires_at <= clock.now():
        return ApprovalState.EXPIRED.value
    return request.state


def waiting(requests: QuerySet[ApprovalRequest]) -> QuerySet[ApprovalRequest]:
    """Those that somebody may still decide, soonest to expire first."""
    return requests.filter(state__in=WAITING, expires_at__gt=clock.now()).order_by("expires_at", "pk")


def rows(requests: Iterable[ApprovalRequest]) -> tuple[ApprovalRow, ...]:
    return tuple(ApprovalRow(request, true_state(request)) for request in requests)


def waiting_for(
    actor: User, tenant: Tenant, requests: QuerySet[ApprovalRequest]
) -> QuerySet[ApprovalRequest]:
    """Those that wait and that this person may decide, soonest to expire first."""
    releases = requests.filter(kind=ApprovalKind.REACTIVATION)
    others = requests.exclude(kind=ApprovalKind.REACTIVATION)
    mine = visible(releases, actor, Right.APPROVE_RELEASE) | visible(others, actor, Right.DECIDE_APPROVAL)
    mine = waiting(mine).exclude(pk__in=ApprovalDecision.objects.filter(person=actor).values("request"))
    people = Membership.objects.filter(
        tenant=tenant, active=True, user__is_active=True, user__kind=User.Kind.PERSON
    )
    if not actor.is_superuser:  # another team is asked, unless nobody of it has answered in time
        mine_too = Team.objects.filter(tenant=tenant, group__user=actor).values("pk")
        mine = mine.filter(Q(team=None) | Q(team__in=mine_too) | Q(state=ApprovalState.ESCALATED))
    party = Q(requested_by=actor) | Q(excluded__contains=[str(actor.pk)])
    mine = mine.exclude(party & Exists(people.order_by("pk")[1:2]))  # one person alone decides their own, too
    return mine


def approval_page(request: ApprovalRequest, actor: User) -> ApprovalPage:
    """Everything an approver should see before they say yes or no."""
    decisions = tuple(request.decisions.select_related("person").order_by("at"))
    reasons, versions = explained(request.reasons)
    right = right_to_decide(request.kind)
    state = true_state(request)
    may_decide = allowed(actor, right, request)
    standing = _standing(request, actor, state, may_decide, decisions)
    recorded = Decision.objects.in_bulk([id for id in (request.decision_id, request.consumed_by) if id])
    parties = {UUID(person) for person in request.excluded} | {row.person_id for row in decisions}
    if request.requested_by_id:
        parties.add(request.requested_by_id)
    return ApprovalPage(
        request=request,
        state=state,
        standing=standing,
        may_cancel=request.requested_by_id == actor.pk and state in WAITING,  # an approver denies instead
        who_may=holders(right, request, request.tenant_id, without=parties, team=request.team)
        if state in WAITING
        else (),
        roles=tuple(ROLES[name].label if name in ROLES else name for name in request.roles),
        decisions=decisions,
        yes=sum(row.approve for row in decisions),
        reasons=reasons,
        versions=versions,
        latest=latest(Decision.objects.of(request.instance_id)) if request.instance_id else (),
        asked=recorded.get(request.decision_id) if request.decision_id else None,
        used=recorded.get(request.consumed_by) if request.consumed_by else None,
        changes=tuple(ChangeRecord.objects.about(request)[:SHOWN]),
    )


def _standing(
    request: ApprovalRequest,
    actor: User,
    state: str,
    may_decide: bool,
    decisions: Iterable[ApprovalDecision],
) -> Standing:
    """The same rules as the service's, as a sentence beforehand; the service decides."""
    if state not in WAITING:
        return Standing(False, f"This request is {state}; there is nothing to decide.")
    if not may_decide:
        return Standing(False, "Your roles do not let you decide this.")
    if takes_part(request, actor) and not single_handed(request.tenant_id):
        return Standing(
            False, "You asked for this, built it, own it or stopped it, so your decision does not count."
        )
    if any(row.person_id == actor.pk for row in decisions):
        return Standing(False, "You have already decided; each person counts once.")
    sentence = wrong_roles(request, actor)
    return Standing(not sentence, sentence)
