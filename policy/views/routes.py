"""Pages that say who is asked for the approvals of an environment."""

from typing import Any

from django.urls import reverse_lazy

from arm.forms import ReasonForm
from arm.models import User
from arm.rights import Right
from arm.views import current_tenant
from policy import services
from policy.forms.routes import DefaultPolicyForm, RouteForm
from policy.models import ApprovalRoute, TenantPolicy
from policy.queries.policies import default_of
from policy.views.commands import Command, Create, actor_of


class RouteApprovals(Create):
    form_class = RouteForm
    act_rights = frozenset({Right.BIND_POLICY, Right.ACTIVATE_POLICY})
    heading, submit = "Who is asked for approvals", "Save"
    intro = (
        "Requests about what runs there are decided by this team, or by who holds this role, among those who may decide at"
        " all. What was asked already keeps its terms. Another team than before is an approver's decision."
    )
    cancel_to = reverse_lazy("registry:environment_list")
    success_message = "Requests go there from now on."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "environment": self.request.GET.get("environment", "")}

    def get_form_kwargs(self) -> dict[str, Any]:
        tenant = current_tenant(self.request)
        return {**super().get_form_kwargs(), "actor": actor_of(self.request), "tenant_id": tenant.pk}

    def get_success_url(self) -> str:
        url: str = self.result.environment.get_absolute_url()
        return url

    def run(self, actor: User, cleaned: dict[str, Any]) -> ApprovalRoute:
        return services.route_approvals(actor=actor, **cleaned)


class DefaultPolicy(Create):
    form_class = DefaultPolicyForm
    act_rights = frozenset({Right.ACTIVATE_POLICY})
    heading, submit = "The default policy", "Save"
    intro = "It holds for every agent to which no policy is bound, nor to anything above it, so that a new one is not without."
    cancel_to = reverse_lazy("policy:binding_list")
    success_message = "The default is saved."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "policy": default_of(current_tenant(self.request).pk)}

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "actor": actor_of(self.request)}

    def get_success_url(self) -> str:
        return str(self.cancel_to)

    def run(self, actor: User, cleaned: dict[str, Any]) -> TenantPolicy:
        return services.set_default_policy(tenant=current_tenant(self.request), actor=actor, **cleaned)


class EndRoute(Command):
    queryset = ApprovalRoute.objects.select_related("environment", "team")
    form_class = ReasonForm
    act_rights = frozenset({Right.ACTIVATE_POLICY})
    heading, submit, tone = "Ask everybody again", "End it", "danger"
    intro = "Whoever may decide approvals there is asked again. That loosens, so an approver decides it."
    success_message = "Whoever may decide is asked again."

    def cancel_url(self) -> str:
        url: str = self.object.environment.get_absolute_url()
        return url

    def get_success_url(self) -> str:
        return self.cancel_url()

    def run(self, actor: User, cleaned: dict[str, Any]) -> ApprovalRoute:
        return services.end_route(route=self.object, actor=actor, reason=cleaned["reason"])
