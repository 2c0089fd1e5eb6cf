"""Which agents belong to a project."""

from collections.abc import Sequence

from django.db import transaction

from arm.models import User

from ..models import AgentTemplate, Project
from .asking import require_reason, require_same_tenant
from .templates import update_template


@transaction.atomic
def move_agents(
    *, project: Project, agents: Sequence[AgentTemplate], actor: User, reason: str
) -> list[AgentTemplate]:
    """These agents belong to the project from now on; all of them or, where one of them may not be changed, none. Each
    keeps the cost centre that it was given, and what was spent before stays where it was charged."""
    require_reason(reason)
    require_same_tenant(project=project, **{f"agents/{place}": one for place, one in enumerate(agents)})
    in_order = sorted(agents, key=lambda one: one.pk)  # two who move the same ones wait in the same order
    return [update_template(template=one, actor=actor, reason=reason, project=project) for one in in_order]
