"""Who is asked for the approvals of an environment: set, and ended."""

from django.db import transaction

from arm import changes, clock
from arm.errors import Conflict, Invalid, Problem
from arm.models import Team, User
from arm.permissions import allowed, require
from arm.rights import Right
from arm.roles import ROLES
from registry.models import Environment
from registry.services.asking import require_reason, require_same_tenant

from ..models import ApprovalRoute
from ..queries.deciding import route_of
from ..queries.people import holders


@transaction.atomic
def route_approvals(
    *, environment: Environment, actor: User, reason: str, team: Team | None = None, role: str = ""
) -> ApprovalRoute:
    """From now on requests about what runs there are decided by this team, or by who holds this role, among those who may
    decide at all. What was asked already keeps its terms.

    A first route narrows, so who binds policies sets it; another one is an approver's decision. Conflict where nobody of
    the team may decide: everything there would wait for ever.
    """
    earlier = route_of(environment.pk)
    _require(actor, environment, narrows=earlier is None)
    require_reason(reason)
    if (team is None) == (not role):
        _refuse("/team", "Name a team or a role, one of them.")
    if role and (role not in ROLES or not _decides(role)):
        _refuse("/role", "This role decides no approvals.")
    require_same_tenant(environment=environment, team=team)
    if team is not None and not holders(Right.DECIDE_APPROVAL, environment, environment.tenant_id, team=team):
        raise Conflict(
            f"Nobody in {team} may decide approvals in {environment}; give somebody there the right."
        )
    Environment.objects.select_for_update(no_key=True).get(pk=environment.pk)  # one at a time
    earlier = route_of(environment.pk)
    before = _end(earlier) if earlier is not None else {}
    made = ApprovalRoute.objects.create(
        tenant_id=environment.tenant_id,
        environment=environment,
        team=team,
        role=role,
        set_by=actor,
        reason=reason,
    )
    changes.record(actor, "policy.route.set", made, before=before, after=_said(made), reason=reason)
    return made


@transaction.atomic
def end_route(*, route: ApprovalRoute, actor: User, reason: str) -> ApprovalRoute:
    """Whoever may decide approvals there is asked again. Conflict where it has ended."""
    _require(actor, route.environment, narrows=False)
    require_reason(reason)
    Environment.objects.select_for_update(no_key=True).get(pk=route.environment_id)
    route = ApprovalRoute.objects.select_related("environment", "team").get(pk=route.pk)
    if route.until is not None:
        raise Conflict("This has ended already.")
    before = _end(route)
    changes.record(actor, "policy.route.ended", route, before=before, reason=reason)
    return route


def _require(actor: User, environment: Environment, *, narrows: bool) -> None:
    if narrows and allowed(actor, Right.BIND_POLICY, environment):
        return
    require(actor, Right.ACTIVATE_POLICY, environment)


def _decides(role: str) -> bool:
    return Right.DECIDE_APPROVAL in ROLES[role].rights and not ROLES[role].machine


def _end(route: ApprovalRoute) -> dict[str, str]:
    route.until = clock.now()
    route.save(update_fields=["until"])
    return _said(route)


def _said(route: ApprovalRoute) -> dict[str, str]:
    return {
        "environment": route.environment.slug,
        "team": str(route.team) if route.team else "",
        "role": route.role,
    }


def _refuse(pointer: str, sentence: str) -> None:
    raise Invalid(sentence, [Problem(pointer=pointer, code="choice", message=sentence)])
