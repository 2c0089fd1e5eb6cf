"""Who may decide a request for an approval: said on its page beforehand and asked again at the decision."""

from uuid import UUID

from arm.models import User
from arm.rights import Right

from ..lifecycle import ApprovalKind, ApprovalState
from ..models import ApprovalRequest, ApprovalRoute
from .people import roles_of


def route_of(environment_id: UUID) -> ApprovalRoute | None:
    """Who is asked for the approvals of an environment now; None: whoever may decide them."""
    held = ApprovalRoute.objects.filter(environment=environment_id, until=None)
    return held.select_related("team", "environment").first()


def right_to_decide(kind: str) -> Right:
    """A return from a stop is a release; everything else is an approval."""
    return Right.APPROVE_RELEASE if kind == ApprovalKind.REACTIVATION else Right.DECIDE_APPROVAL


def takes_part(request: ApprovalRequest, person: User) -> bool:
    """Whether this person asked, built, owns or stopped what it is about, so that their word does not count."""
    return request.requested_by_id == person.pk or str(person.pk) in request.excluded


def wrong_roles(request: ApprovalRequest, person: User) -> str:
    """The sentence that refuses somebody who lacks a role that the policy or the environment wants, or is not in the team
    that is asked; '' for whom it takes.

    Once it has escalated, the role that it escalated to is enough.
    """
    if not (request.roles or request.team_id) or person.is_superuser:
        return ""
    held, wanted = roles_of(person, request.tenant_id), sorted(set(request.roles))
    if request.state == ApprovalState.ESCALATED and request.escalates_to in held:
        return ""
    team = request.team
    if team is not None and not person.groups.filter(pk=team.group_id).exists():
        return f"The team {team} is asked for the approvals of this environment; you are not in it."
    missing = [role for role in wanted if role not in held]
    if not missing:
        return ""
    return f"The policy wants approvers who are {' and '.join(wanted)}; you are not {' nor '.join(missing)}."
