"""Requests for a stop as people see them: what waits, and what one may do about it."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from arm import clock, ids
from arm.models import ChangeRecord, User
from arm.permissions import allowed
from arm.rights import Right

from ..engine import Mode
from ..lifecycle import RestrictionState
from ..models import Posture, RestrictionDecision, RestrictionRequest
from . import restricting
from .stops import SHOWN, Preview, preview, with_scope


@dataclass(frozen=True, slots=True)
class RestrictionPage:
    """What is asked for, how far it would reach now, whose yes is there, and whose turn it is."""

    request: RestrictionRequest
    state: str
    preview: Preview
    needs: int
    have: int
    decisions: tuple[RestrictionDecision, ...]
    may_answer: bool
    may_withdraw: bool
    why_not: str
    who_may: tuple[str, ...]
    posture: Posture | None
    changes: tuple[ChangeRecord, ...]
    incident: UUID | None
    """What on call was told by, where nobody answered; None for who may not read incidents."""

    @property
    def waits(self) -> bool:
        return self.state == RestrictionState.REQUESTED


def waiting(requests: QuerySet[RestrictionRequest]) -> QuerySet[RestrictionRequest]:
    """Those that somebody may still confirm, soonest to expire first, with what their rows name."""
    open_requests = requests.filter(state=RestrictionState.REQUESTED, expires_at__gt=clock.now())
    return with_scope(open_requests).order_by("expires_at", "pk")


def restriction_page(request: RestrictionRequest, actor: User) -> RestrictionPage:
    """The same rules as the service's, said beforehand; the service decides."""
    scope = restricting.scope_of(request)
    decisions = tuple(request.decisions.select_related("person").order_by("at"))
    state = request.true_state
    waits = state == RestrictionState.REQUESTED
    holds = allowed(actor, restricting.right_to_stop(scope), scope)
    asked = request.asked_by_id == actor.pk
    answered = any(row.person_id == actor.pk for row in decisions)
    why_not = ""
    if waits and not holds and not asked:
        why_not = "Your roles do not let you stop this, so you cannot confirm it either."
    elif waits and asked:
        why_not = "You asked for it, so another person must confirm it."
    elif waits and answered:
        why_not = "You have answered; another person must confirm it, too."
    changes = tuple(ChangeRecord.objects.about(request)[:SHOWN])
    parties = {request.asked_by_id, *(row.person_id for row in decisions)}
    return RestrictionPage(
        request=request,
        state=state,
        preview=preview(scope, Mode(request.mode), actor, tool=request.tool, tool_class=request.tool_class),
        needs=restricting.needed(scope),
        have=len(restricting.triggers(request)),
        decisions=decisions,
        may_answer=waits and not why_not,
        may_withdraw=waits and asked,
        why_not=why_not,
        who_may=restricting.who_may_stop(scope, without=parties) if waits else (),
        posture=Posture.objects.filter(request=request).first(),
        changes=changes,
        incident=_incident(changes) if allowed(actor, Right.READ_INCIDENTS, scope) else None,
    )


def _incident(changes: tuple[ChangeRecord, ...]) -> UUID | None:
    """The incident that the record of the request's end links to."""
    found = (
        link for change in changes for link in change.links if link.startswith(f"{restricting.INCIDENT}_")
    )
    first = next(found, None)
    return None if first is None else ids.decode(restricting.INCIDENT, first)
