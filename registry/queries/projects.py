"""Projects as their pages show them, with the agents that belong to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, OuterRef, QuerySet, Subquery

from arm.models import ChangeRecord, User
from arm.permissions import Actor, held_on, visible
from arm.rights import Right

from ..models import AgentTemplate, Project
from .places import TemplateRow, template_rows
from .related import SHOWN, changes_of


@dataclass(frozen=True, slots=True)
class ProjectPage:
    agents: tuple[TemplateRow, ...]
    agent_count: int
    changes: tuple[ChangeRecord, ...]
    rights: frozenset[Right]


def project_page(project: Project, seen: QuerySet[AgentTemplate], actor: User) -> ProjectPage:
    """A project with those of its agents that are in `seen`."""
    rights = held_on(actor, project)
    agents = seen.filter(project=project).order_by("name", "pk")
    return ProjectPage(
        agents=template_rows(list(agents[:SHOWN])),
        agent_count=agents.count(),
        changes=changes_of(project, rights),
        rights=rights,
    )


def with_project(agents: QuerySet[AgentTemplate], actor: Actor) -> QuerySet[AgentTemplate]:
    """Agents with `project_seen`: the short name of their project; None where `actor` may not see that one."""
    seen = visible(Project.objects.filter(pk=OuterRef("project_id")), actor, Right.READ_DIRECTORY)
    return agents.annotate(project_seen=Subquery(seen.order_by().values("slug")[:1]))


def agents_of(projects: Sequence[Project], seen: QuerySet[AgentTemplate]) -> dict[UUID, int]:
    """How many of the agents in `seen` belong to each project that has any."""
    rows = seen.filter(project__in=[one.pk for one in projects]).order_by()
    return dict(rows.values_list("project").annotate(n=Count("pk")))
