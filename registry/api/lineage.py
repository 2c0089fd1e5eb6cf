"""Where versions come from, for machines: the actions of a version, and what they say."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, TypeIDField, validated
from registry import queries, services
from registry.api import serializers as words
from registry.api.base import named
from registry.api.serializers import Reasoned
from registry.models import AgentVersion


class ParentsIn(Reasoned):
    parents = serializers.ListField(child=TypeIDField("ver"), max_length=16)


class LineageNode(serializers.Serializer[Any]):
    """One version of the window, with the parents that are in it; `more` neighbours are not."""

    id = TypeIDField("ver", source="version.pk")
    template = TypeIDField("tpl", source="version.template_id")
    number = serializers.IntegerField(source="version.number")
    state = serializers.CharField(source="version.state")
    parents = serializers.ListField(child=TypeIDField("ver"))
    more = serializers.IntegerField()


class LineageOut(serializers.Serializer[Any]):
    nodes = LineageNode(many=True, source="rows")
    cut = serializers.BooleanField()


class LineageActions:
    """For the viewset of versions."""

    get_object: Any

    @extend_schema(request=ParentsIn, responses=words.VersionOut)
    @action(detail=True, methods=["put"])
    def parents(self, request: Request, id: str) -> Response:
        """Exactly these are what the version comes from; only while it is in its first Draft."""
        version = self.get_object()
        body = validated(ParentsIn, request)
        parents = [
            named(AgentVersion.objects.select_related("template"), f"/parents/{n}", request.user, pk=pk)
            for n, pk in enumerate(body["parents"])
        ]
        services.name_parents(version=version, parents=parents, actor=request.user, reason=body["reason"])
        return Response(words.VersionOut(self.get_object()).data)

    @extend_schema(responses=LineageOut)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def lineage(self, request: Request, id: str) -> Response:
        """What it comes from and what came from it, a window of a few generations."""
        return Response(LineageOut(queries.lineage_of(self.get_object(), request.user)).data)
