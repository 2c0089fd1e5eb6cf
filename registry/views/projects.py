"""Pages of projects: what agents' work belongs to, and what it cost."""

from typing import Any

from django.urls import reverse_lazy
from django.views.generic import DetailView

from arm.models import User
from arm.panels import panels, seen_by_visitor
from arm.rights import Right
from arm.views import FilteredList, Scoped
from arm.words import counted
from registry import queries, services
from registry.filters.projects import ProjectFilter
from registry.forms.projects import MoveAgentsForm, ProjectEditForm, ProjectForm
from registry.models import AgentTemplate, Project
from registry.views.commands import Command, Create, actor_of, may_anywhere


class ProjectList(FilteredList):
    queryset = Project.objects.order_by("slug")
    view_right = Right.READ_DIRECTORY
    filterset_class = ProjectFilter
    template_name = "registry/project_list.html"
    columns = (("id", "typeid"), ("slug", "slug"), ("name", "name"), ("cost centre", "cost_center"))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        found = list(context["object_list"])
        seen = seen_by_visitor(AgentTemplate.objects.all(), self.request, self.view_right)
        counts = queries.agents_of(found, seen)
        context["rows"] = [(row, counts.get(row.pk, 0)) for row in found]
        context["may_create"] = may_anywhere(self.request, Right.MANAGE_DIRECTORY)
        return context


class ProjectDetail(Scoped, DetailView[Project]):
    queryset = Project.objects.all()
    view_right = Right.READ_DIRECTORY
    template_name = "registry/project_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        seen = seen_by_visitor(AgentTemplate.objects.all(), self.request, self.view_right)
        page = queries.project_page(self.object, seen, actor_of(self.request))
        return super().get_context_data(
            page=page,
            panels=panels("PROJECT_PANELS", self.request, self.object),
            may_move=may_anywhere(self.request, Right.CREATE_VERSION),
            **kwargs,
        )


class ProjectCreate(Create):
    form_class = ProjectForm
    act_right = Right.MANAGE_DIRECTORY
    heading, submit = "Add a project", "Add"
    intro = "What agents' work belongs to, for costs."
    cancel_url = reverse_lazy("registry:project_list")  # type: ignore[assignment]
    success_message = "The project is added."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Project:
        return services.create_project(tenant=self.object, actor=actor, **cleaned)


class ProjectEdit(Command):
    queryset = Project.objects.all()
    form_class = ProjectEditForm
    act_rights = frozenset({Right.MANAGE_DIRECTORY})
    heading, submit = "Change the project", "Save"
    success_message = "The project is changed."

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "name": self.object.name, "cost_center": self.object.cost_center}

    def run(self, actor: User, cleaned: dict[str, Any]) -> Project:
        return services.update_project(project=self.object, actor=actor, **cleaned)


class MoveAgents(Command):
    """For who may describe agents; which ones, their service says."""

    queryset = Project.objects.all()
    form_class = MoveAgentsForm
    act_rights = frozenset({Right.READ_DIRECTORY})
    heading, submit = "Move agents here", "Move"
    intro = "They keep their cost centres, and what was spent before stays where it was charged."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Any:
        moved = services.move_agents(
            project=self.object, agents=cleaned["agents"], actor=actor, reason=cleaned["reason"]
        )
        self.success_message = f"Moved to {self.object}: {counted(len(moved), 'agent')}."
        return self.object
