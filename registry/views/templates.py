"""Pages of agents (templates)."""

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.urls import reverse_lazy
from django.views.generic import DetailView

from arm.models import User
from arm.panels import panels, seen_by_visitor
from arm.rights import Right
from arm.views import FilteredList, Scoped
from registry import forms, queries, services
from registry.filters import TemplateFilter
from registry.forms.roles import SuccessorsForm
from registry.models import AgentTemplate, Ownership, Project
from registry.protocol.sheet import list_cell
from registry.views.bulk import acts_on
from registry.views.commands import Command, Create, SeenCommand, actor_of, may_anywhere

EDITED = frozenset({Right.CREATE_VERSION})
MANAGED = frozenset({Right.MANAGE_DIRECTORY})


class TemplateList(FilteredList):
    queryset = AgentTemplate.objects.select_related("project").order_by("name", "pk")
    view_right = Right.READ_DIRECTORY
    filterset_class = TemplateFilter
    template_name = "registry/template_list.html"
    columns = (  # a table that can be sent back: see registry.protocol.sheet
        ("id", "typeid"),
        ("name", "name"),
        ("slug", "slug"),
        ("description", "description"),
        ("intended use", "intended_use"),
        ("out of scope", "out_of_scope"),
        ("risk", "risk"),
        ("tags", lambda row: list_cell(row.tags)),
        ("owners", lambda row: list_cell([held.user.username for held in row.owned_now])),
        ("project", "project_seen"),
        ("cost centre", "cost_center"),
        ("created", "created_at"),
    )

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        if not self.exports:
            return rows  # the page asks for the owners of its own rows
        now = Ownership.objects.filter(until=None).select_related("user").order_by("since", "pk")
        rows = queries.with_project(rows, actor_of(self.request))
        return rows.prefetch_related(Prefetch("ownerships", now, to_attr="owned_now"))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["rows"] = queries.template_rows(context["object_list"])
        context["may_create"] = may_anywhere(self.request, Right.CREATE_VERSION)
        context["bulk"] = acts_on(self.request, AgentTemplate)
        return context


class TemplateDetail(Scoped, DetailView[AgentTemplate]):
    queryset = AgentTemplate.objects.all()
    view_right = Right.READ_DIRECTORY
    template_name = "registry/template_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queries.template_page(self.object, actor_of(self.request))
        project = Project.objects.filter(pk__in=[self.object.project_id])
        return super().get_context_data(
            page=page,
            project=seen_by_visitor(project, self.request, Right.READ_DIRECTORY).first(),
            panels=panels("TEMPLATE_PANELS", self.request, self.object),
            successors=queries.successors(self.object),
            ownerless=queries.is_ownerless(self.object),
            **kwargs,
        )


class TemplateCreate(Create):
    form_class = forms.TemplateForm
    act_right = Right.CREATE_VERSION
    heading, submit = "Register an agent", "Register"
    intro = "An agent begins as a template. Its first version brings the genome: what it is made of."
    cancel_url = reverse_lazy("registry:template_list")  # type: ignore[assignment]
    success_message = "The agent is registered."

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentTemplate:
        return services.register_template(tenant=self.object, actor=actor, **cleaned)


class TemplateEdit(Command):
    queryset = AgentTemplate.objects.select_related("project")
    form_class = forms.TemplateEditForm
    act_rights = EDITED
    heading, submit = "Describe the agent", "Save"

    def get_initial(self) -> dict[str, Any]:
        names = ("name", "description", "intended_use", "out_of_scope", "cost_center")
        held = {name: getattr(self.object, name) for name in names}
        project = self.object.project.slug if self.object.project else ""
        return {**super().get_initial(), **held, "tags": ", ".join(self.object.tags), "project": project}

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "held": self.object.project}

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentTemplate:
        return services.update_template(template=self.object, actor=actor, **cleaned)


class TemplateRisk(Command):
    queryset = AgentTemplate.objects.all()
    form_class = forms.TemplateRiskForm
    act_rights = MANAGED
    heading, submit = "Change the risk class", "Change"
    intro = "Limits of role bindings and what production takes follow the risk class."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "risk": self.object.risk}

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentTemplate:
        return services.update_template(template=self.object, actor=actor, **cleaned)


class TemplateOwners(SeenCommand):
    queryset = AgentTemplate.objects.all()
    form_class = forms.OwnersForm
    act_rights = MANAGED
    heading, submit = "Choose the owners", "Save"

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "people": queries.people_of(self.object.tenant_id)}

    def shown(self) -> list[str]:
        return [user.username for user in queries.owners(self.object)]

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "owners": self.shown()}

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentTemplate:
        return services.set_owners(template=self.object, actor=actor, **cleaned)


class TemplateSuccessors(SeenCommand):
    queryset = AgentTemplate.objects.all()
    form_class = SuccessorsForm
    act_rights = MANAGED
    heading, submit = "Choose the successors", "Save"
    intro = "When an owner leaves, the first of them who works here and does not own it already takes their place."

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "tenant_id": self.object.tenant_id}

    def shown(self) -> list[str]:
        return [user.username for user in queries.successors(self.object)]

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "successors": "\n".join(self.shown())}

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentTemplate:
        return services.set_successors(template=self.object, actor=actor, **cleaned)
