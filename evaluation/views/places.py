"""Pages of where agents answer, and of hosts that are not public and may be called all the same."""

from typing import Any

from django.urls import reverse_lazy

from arm.models import User
from arm.panels import rights_of_visitor
from arm.rights import Right
from arm.views import FilteredList
from registry.forms import ReasonForm
from registry.views.commands import Command, Create

from .. import forms, services
from ..filters import AllowedHostFilter, EndpointFilter
from ..models import AllowedHost, Endpoint


class EndpointList(FilteredList):
    queryset = Endpoint.objects.select_related("template", "version__template", "created_by").order_by(
        "template__name", "-pk"
    )
    view_right = Right.READ_DIRECTORY
    filterset_class = EndpointFilter
    template_name = "evaluation/endpoint_list.html"
    columns = (
        ("id", "typeid"),
        ("agent", "template.name"),
        ("version", "version"),
        ("url", "url"),
        ("since", "since"),
        ("until", "until"),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may = Right.RUN_EVALUATION.value in rights_of_visitor(self.request)
        return super().get_context_data(may_set=may, **kwargs)


class SetEndpoint(Create):
    form_class = forms.EndpointForm
    act_right = Right.RUN_EVALUATION
    heading, submit = "Set an endpoint", "Set the endpoint"
    intro = "Where an agent answers the questions of suites. The endpoint in force ends."
    cancel_url = reverse_lazy("evaluation:endpoint_list")  # type: ignore[assignment]
    success_message = "The endpoint is in force."

    def get_initial(self) -> dict[str, Any]:
        return {name: self.request.GET.get(name, "") for name in ("template", "version")}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Endpoint:
        return services.set_endpoint(actor=actor, **cleaned)


class EndEndpoint(Command):
    queryset = Endpoint.objects.select_related("template", "version__template")
    form_class = ReasonForm
    act_rights = frozenset({Right.RUN_EVALUATION})
    heading, submit, tone = "End the endpoint", "End it", "danger"
    success_message = "The endpoint has ended."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Endpoint:
        return services.end_endpoint(endpoint=self.object, actor=actor, reason=cleaned["reason"])


class HostList(FilteredList):
    queryset = AllowedHost.objects.select_related("created_by")
    view_right = Right.MANAGE_TENANT
    filterset_class = AllowedHostFilter
    template_name = "evaluation/host_list.html"
    columns = (("id", "typeid"), ("entry", "entry"), ("since", "since"), ("until", "until"))


class AllowHost(Create):
    form_class = forms.AllowHostForm
    act_right = Right.MANAGE_TENANT
    view_right = Right.MANAGE_TENANT
    heading, submit = "Allow a host", "Allow it"
    intro = (
        "Runs call public addresses only. Name a host or a network inside your walls that they may call too; addresses "
        "of link-local and metadata services stay closed."
    )
    cancel_url = reverse_lazy("evaluation:host_list")  # type: ignore[assignment]
    success_message = "Runs may call it from now on."

    def run(self, actor: User, cleaned: dict[str, Any]) -> AllowedHost:
        return services.allow_host(tenant=self.object, actor=actor, **cleaned)


class EndHost(Command):
    queryset = AllowedHost.objects.all()
    form_class = ReasonForm
    view_right = Right.MANAGE_TENANT
    act_rights = frozenset({Right.MANAGE_TENANT})
    heading, submit, tone = "Call it no more", "End it", "danger"
    success_message = "Runs may not call it any more."

    def run(self, actor: User, cleaned: dict[str, Any]) -> AllowedHost:
        return services.end_allowed_host(allowed=self.object, actor=actor, reason=cleaned["reason"])
