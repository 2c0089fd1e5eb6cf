"""Pages of instances: what is wanted, what is reported, and the buttons that stop and release."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.views.generic import DetailView

from arm.errors import DomainError
from arm.models import User
from arm.panels import panels
from arm.rights import Right
from arm.views import Scoped
from registry import forms, queries, services
from registry.filters import InstanceFilter
from registry.lifecycle import InstanceState
from registry.models import AgentInstance
from registry.protocol.sheet import labels_cell
from registry.views.bulk import acts_on
from registry.views.commands import Command, Create, actor_of, may_anywhere
from registry.views.cursors import CursorList

MOVED = frozenset(
    {
        Right.PROVISION_INSTANCE,
        Right.RESTRICT_INSTANCE,
        Right.RELEASE_INSTANCE,
        Right.APPROVE_RELEASE,
        Right.TERMINATE_INSTANCE,
    }
)


class InstanceList(CursorList):
    queryset = AgentInstance.objects.for_list()
    view_right = Right.READ_DIRECTORY
    filterset_class = InstanceFilter
    template_name = "registry/instance_list.html"
    columns = (  # a table that can be sent back: see registry.protocol.sheet
        ("id", "typeid"),
        ("name", "name"),
        ("agent", "template.name"),
        ("version", lambda row: f"{row.template.slug}@{row.version.number}"),
        ("environment", "environment.slug"),
        ("provider", "provider.slug"),
        ("role", "role.slug"),
        ("slot", "slot.typeid"),
        ("labels", lambda row: labels_cell(row.labels)),
        ("wanted", "state"),
        ("wanted since", "state_since"),
        ("reported", "status.state"),
        ("heartbeat", "status.heartbeat_at"),
        ("cost centre", "cost_center"),
    )

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        return rows.select_related("role", "slot") if self.exports else rows

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["rows"] = queries.with_staleness(context["object_list"])
        context["may_create"] = may_anywhere(self.request, Right.PROVISION_INSTANCE)
        context["bulk"] = acts_on(self.request, AgentInstance)
        return context


class InstanceDetail(Scoped, DetailView[AgentInstance]):
    queryset = AgentInstance.objects.select_related(
        "template",
        "version__template",
        "environment",
        "provider",
        "slot__role",
        "slot__environment",
        "role",
        "status",
    )
    view_right = Right.READ_DIRECTORY
    template_name = "registry/instance_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.instance_page(self.object, actor_of(self.request))
        return super().get_context_data(
            page=page, panels=panels("INSTANCE_PANELS", self.request, self.object), **kwargs
        )


class MoveInstance(Command):
    """Stop, release or retire: the page says how far it reaches before it asks for the reason."""

    queryset = AgentInstance.objects.for_list()
    form_class = forms.MoveInstanceForm
    act_rights = MOVED
    heading, submit = "Move the instance", "Move"
    template_name = "registry/instance_move.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "targets": queries.moves_of(self.object)}

    def get_initial(self) -> dict[str, Any]:
        asked = self.request.GET.get("to", "")
        return {**super().get_initial(), "to": asked, "seen": asked}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """A state other than the one whose reach was shown is shown first; what was typed stays."""
        targets = queries.moves_of(self.object)
        wanted = request.POST.get("to", "")
        if request.POST.get("seen", wanted) == wanted or wanted not in targets:
            return super().post(request, *args, **kwargs)
        initial = request.POST.dict() | {"seen": wanted}
        form = self.form_class(initial=initial, targets=targets, actor=actor_of(request))
        return self.render_to_response(self.get_context_data(form=form, changed=True))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = self.request.POST.get("to") or self.request.GET.get("to", "")
        page = queries.instance_page(self.object, actor_of(self.request))
        chosen = next((step for step in page.steps if step.to == asked), None)
        reach = queries.reach_of(self.object, actor_of(self.request))
        return super().get_context_data(page=page, chosen=chosen, reach=reach, **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentInstance:
        to = InstanceState(cleaned["to"])
        self.success_message = f"{self.object} is wanted {to.label.lower()}."
        return services.move_instance(instance=self.object, to=to, actor=actor, reason=cleaned["reason"])


class RequestRelease(Command):
    """Asks second persons for a release that one may not make alone."""

    queryset = AgentInstance.objects.for_list()
    form_class = forms.MoveInstanceForm
    act_rights = frozenset({Right.RELEASE_INSTANCE, Right.APPROVE_RELEASE})
    heading, submit = "Ask for the release", "Ask"
    success_message = "Approvers are asked."

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "targets": queries.releases_of(self.object)}

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "to": self.request.GET.get("to", "")}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Any:
        return services.request_instance_release(
            instance=self.object, to=InstanceState(cleaned["to"]), actor=actor, reason=cleaned["reason"]
        )


class IssueWorkloadToken(Command):
    """The answer to the form is the page with the token: it is stored nowhere and cannot be asked for again."""

    queryset = AgentInstance.objects.for_list()
    form_class = forms.TokenForm
    act_rights = frozenset({Right.MANAGE_KEYS})
    heading, submit = "Issue a workload token", "Issue the token"
    intro = (
        "It speaks for this one instance: decisions, heartbeats and telemetry of itself, and nothing else."
    )

    def run(self, actor: User, cleaned: dict[str, Any]) -> Any:
        return services.issue_workload_token(instance=self.object, actor=actor, **cleaned)

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            with transaction.atomic():
                issued = self.run(actor_of(self.request), form.cleaned_data)
        except DomainError as refusal:
            return self.refused(form, refusal)
        self.template_name = "registry/token_issued.html"
        return self.render_to_response(self.get_context_data(form=form, issued=issued))


class ProvisionInstance(Create):
    form_class = forms.ProvisionForm
    act_right = Right.PROVISION_INSTANCE
    heading, submit = "Provision an instance", "Provision"
    intro = "It stays in Provisioning, and may do nothing, until nothing is missing for it to become active."
    cancel_url = reverse_lazy("registry:instance_list")  # type: ignore[assignment]
    success_message = "The instance is provisioned."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "version": self.request.GET.get("version", "")}

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentInstance:
        return services.provision_instance(actor=actor, **cleaned)
