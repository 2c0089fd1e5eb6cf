"""Endpoints of projects: what agents' work belongs to, for costs."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, TypeIDField, tenant_of, validated
from registry import services
from registry.api.base import DirectoryViewSet, created, named
from registry.api.serializers import Out, Reasoned, also_shown
from registry.filters.projects import ProjectFilter
from registry.models import AgentTemplate, Project


@also_shown
class ProjectOut(Out):
    noun = "projects"
    id = TypeIDField("prj", source="pk")

    class Meta:
        model = Project
        fields = ("id", "url", "slug", "name", "cost_center")


class ProjectIn(Reasoned):
    """Without `cost_center`, the tenant's."""

    slug = serializers.SlugField(max_length=60)
    name = serializers.CharField(max_length=160)
    cost_center = serializers.CharField(max_length=80, required=False, allow_blank=True)


class ProjectChange(Reasoned):
    """What is left out stays as it is; the short name does not change."""

    name = serializers.CharField(max_length=160, required=False)
    cost_center = serializers.CharField(max_length=80, required=False, allow_blank=True)


class MoveAgentsIn(Reasoned):
    """Agents by their identifiers."""

    agents = serializers.ListField(child=TypeIDField("tpl"), min_length=1, max_length=100)


class ProjectViewSet(DirectoryViewSet[Project]):
    """Projects. An agent is moved to one by changing the agent, or several by `agents`."""

    queryset = Project.objects.all()
    serializer_class = ProjectOut
    filterset_class = ProjectFilter
    prefix = "prj"

    @extend_schema(request=ProjectIn, responses={201: ProjectOut})
    def create(self, request: Request) -> Response:
        """Add a project."""
        body = validated(ProjectIn, request)
        made = services.create_project(tenant=tenant_of(request), actor=request.user, **body)
        return created(ProjectOut(made))

    @extend_schema(request=ProjectChange, responses=ProjectOut)
    def partial_update(self, request: Request, id: str) -> Response:
        """Call it something else, or charge somebody else."""
        project = self.get_object()
        changed = services.update_project(
            project=project, actor=request.user, **validated(ProjectChange, request)
        )
        return Response(ProjectOut(changed).data)

    @extend_schema(request=MoveAgentsIn, responses=ProjectOut)
    @action(detail=True, methods=["post"])
    def agents(self, request: Request, id: str) -> Response:
        """Move agents here, all that are named or none; each keeps its cost centre."""
        project = self.get_object()
        body = validated(MoveAgentsIn, request)
        agents = [
            named(AgentTemplate.objects.select_related("project"), f"/agents/{n}", request.user, pk=pk)
            for n, pk in enumerate(body["agents"])
        ]
        services.move_agents(project=project, agents=agents, actor=request.user, reason=body["reason"])
        return Response(ProjectOut(self.get_object()).data)
