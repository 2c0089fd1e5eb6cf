"""States of policy versions, approvals and the ways out of a stop. Data and pure functions only."""

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


def may_become(state: str, to: ApprovalState) -> bool:
    """Whether a request in this state may move there."""
    return to in APPROVAL_MOVES[ApprovalState(state)]
