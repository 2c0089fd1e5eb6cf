"""Policy's parts of other pages: what waits and what is stopped (home), and how an agent stands (its own pages)."""

from django.http import HttpRequest

from arm.models import Tenant, User
from arm.panels import Panel
from arm.permissions import held_on, visible
from arm.rights import Right
from registry.models import AgentInstance, AgentVersion

from ..models import ApprovalRequest, Decision, Posture, RestrictionRequest
from ..queries import approvals, decisions, policies, stops
from ..queries.restriction_pages import waiting

SHOWN = 5


class ApprovalsWaiting:
    """Home: what waits for this visitor, soonest to expire first."""

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        if not isinstance(request.user, User):
            return None
        mine = approvals.waiting_for(request.user, subject, ApprovalRequest.objects.for_list())
        found = list(mine[: SHOWN + 1])
        seen = visible(ApprovalRequest.objects.all(), request.user, Right.READ_DECISIONS)
        in_all = approvals.waiting(seen).count()
        if not found and not in_all:
            return None
        context = {"rows": approvals.rows(found[:SHOWN]), "more": len(found) > SHOWN, "waiting": in_all}
        return Panel("Approvals waiting", "policy/_home_approvals.html", context, anchor="approvals")


class StopsInForce:
    """Home: every stop that stands where this visitor may look."""

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        seen = visible(Posture.objects.in_force(), request.user, Right.READ_POLICY)
        found = list(stops.with_scope(seen).order_by("-set_at")[: SHOWN + 1])
        if not found:
            return None
        context = {"rows": found[:SHOWN], "more": len(found) > SHOWN}
        return Panel("Stops in force", "policy/_home_stops.html", context, anchor="stops")


class StopsRequested:
    """Home: stops that wait for a second person, soonest to expire first."""

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        seen = visible(RestrictionRequest.objects.all(), request.user, Right.READ_POLICY)
        found = list(waiting(seen)[: SHOWN + 1])
        if not found:
            return None
        context = {"rows": found[:SHOWN], "more": len(found) > SHOWN}
        return Panel("Stops that wait for a person", "policy/_home_requests.html", context, anchor="requests")


class InstanceStop:
    """Instance: the meet of its own state and every posture above it, and which scope takes what away.

    It offers no stop to who may set one: an instance is stopped by the buttons of its own page.
    """

    def panel(self, request: HttpRequest, subject: AgentInstance) -> Panel | None:
        held = held_on(request.user, subject)
        if Right.READ_POLICY not in held:
            return None
        context = {
            "stop": stops.instance_stop(subject),
            "instance": subject,
            "may_stop": Right.RESTRICT_INSTANCE in held,
            "may_ask": Right.REQUEST_RESTRICTION in held,
        }
        return Panel("What reaches it", "policy/_panel_stop.html", context, anchor="stop")


class PolicyInForce:
    """Instance and version: the policies that hold for it."""

    def panel(self, request: HttpRequest, subject: AgentInstance | AgentVersion) -> Panel | None:
        if not _may(request, Right.READ_POLICY, subject):
            return None
        bound = policies.bound_to(subject)
        default = None if bound else policies.default_of(subject.tenant_id)
        context = {"bound": bound, "default": default, "subject": subject}
        return Panel("Policy", "policy/_panel_policy.html", context, anchor="policy")


class LastApprovals:
    """Instance and version: the newest requests about it."""

    def panel(self, request: HttpRequest, subject: AgentInstance | AgentVersion) -> Panel | None:
        if not _may(request, Right.READ_DECISIONS, subject):
            return None
        rows = ApprovalRequest.objects.for_list()
        about = (
            rows.filter(instance=subject)
            if isinstance(subject, AgentInstance)
            else rows.filter(instance__version=subject)
        )
        found = approvals.rows(visible(about, request.user, Right.READ_DECISIONS)[:SHOWN])
        return Panel("Approvals", "policy/_panel_approvals.html", {"rows": found}, anchor="approvals")


class LastDecisions:
    """Instance and version: what was answered lately."""

    def panel(self, request: HttpRequest, subject: AgentInstance | AgentVersion) -> Panel | None:
        if not _may(request, Right.READ_DECISIONS, subject):
            return None
        alone = isinstance(subject, AgentInstance)
        rows = Decision.objects.filter(**{"instance_id" if alone else "version_id": subject.pk})
        seen = visible(rows, request.user, Right.READ_DECISIONS)
        context = {"rows": decisions.latest(seen), "subject": subject, "alone": alone}
        return Panel("Last decisions", "policy/_panel_decisions.html", context, anchor="decisions")


def _may(request: HttpRequest, right: Right, subject: AgentInstance | AgentVersion) -> bool:
    return right in held_on(request.user, subject)
