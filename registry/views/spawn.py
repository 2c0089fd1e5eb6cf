"""Pages of instances that start others: the tree with its quotas, and the form that starts one."""

from typing import Any

from django.views.generic import DetailView

from arm.models import User
from arm.permissions import held_on
from arm.rights import Right
from arm.views import Scoped
from registry import forms, queries, services
from registry.facts import allowances
from registry.models import AgentInstance
from registry.views.commands import Command, actor_of


class SpawnTree(Scoped, DetailView[AgentInstance]):
    queryset = AgentInstance.objects.select_related("template", "version__template")
    view_right = Right.READ_DIRECTORY
    template_name = "registry/spawn_tree.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        tree = queries.spawn_tree(self.object, actor_of(self.request))
        may = Right.PROVISION_INSTANCE in held_on(self.request.user, self.object)
        return super().get_context_data(tree=tree, may_spawn=may, **kwargs)


class SpawnInstance(Command):
    queryset = AgentInstance.objects.for_list()
    form_class = forms.SpawnForm
    act_rights = frozenset({Right.PROVISION_INSTANCE})
    heading, submit = "Spawn an instance", "Spawn"
    intro = (
        "A child of this instance, as far as the genomes above it allow. What you leave out it has from its parent; it stays"
        " in Provisioning until nothing is missing for it to become active."
    )
    success_message = "The child is provisioned."

    def get_form_kwargs(self) -> dict[str, Any]:
        grants = allowances().may_grant(self.object, actor_of(self.request))
        return {**super().get_form_kwargs(), "grants": grants}

    def run(self, actor: User, cleaned: dict[str, Any]) -> AgentInstance:
        return services.spawn_instance(parent=self.object, actor=actor, **cleaned)

    def get_success_url(self) -> str:
        url: str = self.result.get_absolute_url()
        return url
