"""On the page of an environment: which tools count for more there, and who is asked for approvals."""

from django.http import HttpRequest

from arm.models import User
from arm.panels import Panel
from arm.permissions import held_on, visible
from arm.rights import Right
from registry.models import Environment

from ..models import ApprovalRoute, Binding, ToolRisk
from ..queries.people import holders

SHOWN = 20


class EnvironmentRules:
    def panel(self, request: HttpRequest, subject: Environment) -> Panel | None:
        user = request.user
        if not isinstance(user, User):
            return None
        rights = held_on(user, subject)
        if Right.READ_POLICY not in rights:
            return None
        tools = visible(
            ToolRisk.objects.filter(environment=subject, until=None), user, Right.READ_POLICY
        ).order_by("tool")
        held = ApprovalRoute.objects.filter(environment=subject, until=None)
        route = held.select_related("team", "set_by").first()
        who = holders(Right.DECIDE_APPROVAL, subject, subject.tenant_id, team=route.team if route else None)
        bound = Binding.objects.in_force().filter(environment=subject).select_related("policy")
        context = {
            "environment": subject,
            "tools": tools[:SHOWN],
            "more": max(0, tools.count() - SHOWN),
            "route": route,
            "who": who,
            "bound": bound[:SHOWN],
            "may_classify": bool({Right.DRAFT_POLICY, Right.ACTIVATE_POLICY} & rights),
            "may_end": Right.ACTIVATE_POLICY in rights,
            "may_route": Right.ACTIVATE_POLICY in rights or (route is None and Right.BIND_POLICY in rights),
        }
        return Panel("Rules of this place", "policy/_panel_place.html", context, anchor="rules")
