"""What an incident is about, how bad it is, and which state may follow which. Data and pure functions only."""

from datetime import timedelta

from django.db.models import TextChoices


class IncidentKind(TextChoices):
    POLICY_VIOLATION = "policy_violation", "Policy violation"
    DATA_LEAK = "data_leak", "Data leak risk"
    TOOL_MISUSE = "tool_misuse", "Tool misuse"
    DRIFT = "drift", "Drift"
    OUTAGE = "outage", "Outage"
    COST_OVERRUN = "cost_overrun", "Cost overrun"
    TAMPER = "tamper", "Tampering"
    ENFORCEMENT_FAILURE = "enforcement_failure", "Enforcement failure"
    QUALITY_REGRESSION = "quality_regression", "Quality regression"
    SHADOW_AGENT = "shadow_agent", "Shadow agent"


HARM = frozenset(
    {
        IncidentKind.POLICY_VIOLATION,
        IncidentKind.DATA_LEAK,
        IncidentKind.TOOL_MISUSE,
        IncidentKind.TAMPER,
        IncidentKind.QUALITY_REGRESSION,
    }
)
"""Kinds with which a person who opens an incident about a version says that it does harm wherever it runs."""


class Severity(TextChoices):
    """Worst first; the values sort in that order."""

    S0 = "s0", "S0 Critical"
    S1 = "s1", "S1 High"
    S2 = "s2", "S2 Medium"
    S3 = "s3", "S3 Low"
    S4 = "s4", "S4 Notice"


class IncidentState(TextChoices):
    OPEN = "open", "Open"
    TRIAGED = "triaged", "Triaged"
    MITIGATED = "mitigated", "Mitigated"
    RESOLVED = "resolved", "Resolved"
    REVIEWED = "reviewed", "Reviewed"


class Detection(TextChoices):
    RULE = "rule", "A rule of ARM"
    PERSON = "person", "A person"
    OUTSIDE = "outside", "Somebody outside"


_S = IncidentState
INCIDENT_MOVES: dict[IncidentState, frozenset[IncidentState]] = {
    _S.OPEN: frozenset({_S.TRIAGED, _S.MITIGATED}),  # on call may stop the harm before filling in a form
    _S.TRIAGED: frozenset({_S.MITIGATED, _S.RESOLVED}),
    _S.MITIGATED: frozenset({_S.TRIAGED, _S.RESOLVED}),
    _S.RESOLVED: frozenset({_S.TRIAGED, _S.REVIEWED}),
    _S.REVIEWED: frozenset(),
}
"""Back to Triaged is “it came back”: what was thought mitigated or resolved is not."""

LIVE = frozenset({_S.OPEN, _S.TRIAGED, _S.MITIGATED})
"""Still somebody's business: one incident per kind and subject may be in these states at a time."""

RECURS_WITHIN = timedelta(days=30)
"""A new incident of the same kind on the same template within this time links to the one before."""


def incident_may_move(state: str, to: str) -> bool:
    """Whether this move exists."""
    return IncidentState(to) in INCIDENT_MOVES[IncidentState(state)]


def worse(first: str, second: str) -> bool:
    """Whether the first severity is worse than the second."""
    return Severity(first).value < Severity(second).value
