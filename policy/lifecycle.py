"""States of policy versions, approvals and requests for a stop. Data and pure functions only."""

from datetime import timedelta

from django.db.models import TextChoices


class PolicyState(TextChoices):
    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    SUPERSEDED = "superseded", "Superseded"
    WITHDRAWN = "withdrawn", "Withdrawn"


POLICY_MOVES: dict[PolicyState, frozenset[PolicyState]] = {
    PolicyState.DRAFT: frozenset({PolicyState.ACTIVE, PolicyState.WITHDRAWN}),
    PolicyState.ACTIVE: frozenset({PolicyState.SUPERSEDED}),
    PolicyState.SUPERSEDED: frozenset(),
    PolicyState.WITHDRAWN: frozenset(),
}


class ApprovalState(TextChoices):
    PENDING = "pending", "Pending"
    ESCALATED = "escalated", "Escalated"
    APPROVED = "approved", "Approved"
    DENIED = "denied", "Denied"
    EXPIRED = "expired", "Expired"
    CANCELLED = "cancelled", "Cancelled"
    CONSUMED = "consumed", "Consumed"
    VOIDED = "voided", "Voided"


_A = ApprovalState
APPROVAL_MOVES: dict[ApprovalState, frozenset[ApprovalState]] = {
    _A.PENDING: frozenset({_A.ESCALATED, _A.APPROVED, _A.DENIED, _A.EXPIRED, _A.CANCELLED, _A.VOIDED}),
    _A.ESCALATED: frozenset({_A.APPROVED, _A.DENIED, _A.EXPIRED, _A.CANCELLED, _A.VOIDED}),
    _A.APPROVED: frozenset({_A.CONSUMED, _A.EXPIRED, _A.VOIDED}),
    _A.DENIED: frozenset(),
    _A.EXPIRED: frozenset(),
    _A.CANCELLED: frozenset(),
    _A.CONSUMED: frozenset(),
    _A.VOIDED: frozenset(),
}
WAITING = (_A.PENDING, _A.ESCALATED)
OPEN = (*WAITING, _A.APPROVED)


class ApprovalKind(TextChoices):
    TOOL_CALL = "tool_call", "Action of an agent"
    REACTIVATION = "reactivation", "Return from a stop"
    PROMOTION = "promotion", "Promotion"
    RETIREMENT = "retirement", "Retirement"


TIME_TO_LIVE: dict[str, timedelta] = {
    ApprovalKind.TOOL_CALL: timedelta(hours=1),
    ApprovalKind.REACTIVATION: timedelta(hours=12),
    ApprovalKind.PROMOTION: timedelta(hours=48),
    ApprovalKind.RETIREMENT: timedelta(hours=24),
}


class RestrictionState(TextChoices):
    REQUESTED = "requested", "Requested"
    CONFIRMED = "confirmed", "Confirmed"
    DECLINED = "declined", "Declined"
    EXPIRED = "expired", "Expired"
    WITHDRAWN = "withdrawn", "Withdrawn"


_R = RestrictionState
RESTRICTION_MOVES: dict[RestrictionState, frozenset[RestrictionState]] = {
    _R.REQUESTED: frozenset({_R.CONFIRMED, _R.DECLINED, _R.EXPIRED, _R.WITHDRAWN}),
    _R.CONFIRMED: frozenset(),
    _R.DECLINED: frozenset(),
    _R.EXPIRED: frozenset(),
    _R.WITHDRAWN: frozenset(),
}
ANSWERED_WITHIN = timedelta(minutes=15)
"""How long somebody who may only ask waits for one with the right."""
SECOND_WITHIN = timedelta(minutes=60)
"""How long the first of two people waits for the second."""


class ReasonCode(TextChoices):
    MISBEHAVES = "misbehaves", "It does what it should not"
    SECURITY = "security", "Attack or stolen access"
    DATA = "data", "Data in danger"
    COST = "cost", "Cost out of hand"
    COMPLIANCE = "compliance", "A rule or a control is broken"
    QUALITY = "quality", "Its results are wrong"
    MAINTENANCE = "maintenance", "Maintenance"
    DRILL = "drill", "Drill"


def may_become(state: str, to: ApprovalState) -> bool:
    """Whether a request in this state may move there."""
    return to in APPROVAL_MOVES[ApprovalState(state)]
