"""Pages of where versions come from: the graph with its table, and the form that names parents."""

from typing import Any

from django.views.generic import DetailView

from arm.models import User
from arm.rights import Right
from arm.views import Scoped
from registry import forms, queries, services
from registry.models import AgentTemplate, AgentVersion
from registry.views.commands import Command, actor_of


class VersionLineage(Scoped, DetailView[AgentVersion]):
    queryset = AgentVersion.objects.select_related("template")
    view_right = Right.READ_DIRECTORY
    template_name = "registry/lineage.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        lineage = queries.lineage_of(self.object, actor_of(self.request))
        return super().get_context_data(lineage=lineage, template=self.object.template, **kwargs)


class TemplateLineage(Scoped, DetailView[AgentTemplate]):
    queryset = AgentTemplate.objects.all()
    view_right = Right.READ_DIRECTORY
    template_name = "registry/lineage.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        lineage = queries.lineage_of_template(self.object, actor_of(self.request))
        return super().get_context_data(lineage=lineage, template=self.object, **kwargs)


class NameParents(Command):
    queryset = AgentVersion.objects.select_related("template", "genome")
    form_class = forms.ParentsForm
    act_rights = frozenset({Right.CREATE_VERSION})
    heading, submit = "Name what the version comes from", "Save"
    intro = "Until the version is submitted for testing; from then on its lineage is history."
    success_message = "The lineage is saved."

    def get_initial(self) -> dict[str, Any]:
        held = self.object.parents.select_related("parent").order_by("pk")
        return {**super().get_initial(), "parents": "\n".join(edge.parent.typeid for edge in held)}

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentVersion:
        return services.name_parents(version=self.object, actor=actor, **cleaned)
