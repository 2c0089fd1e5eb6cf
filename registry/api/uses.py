"""Who uses what, for machines."""

from functools import partial
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, TypeIDField
from arm.permissions import scopes, visible
from arm.rights import Right
from registry import filters, queries
from registry.api.base import DirectoryViewSet
from registry.api.serializers import Out, VersionOut
from registry.models import AgentVersion, Thing


class ThingOut(Out):
    """A thing in use. `versions` and `instances` stop at 201, which says: more than 200."""

    noun = "uses"
    id = TypeIDField("thg", source="pk")
    agent = serializers.CharField(
        default=None,
        allow_null=True,
        help_text="What an agent that `name` identifies is called, for who may see it.",
    )
    versions = serializers.IntegerField(source="used.versions")
    instances = serializers.IntegerField(source="used.live")

    class Meta:
        model = Thing
        fields = ("id", "url", "kind", "name", "agent", "versions", "instances")


class CountOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    count = serializers.IntegerField()


class UsesOut(ThingOut):
    """One thing, with exact numbers; `counted` is false, and they are not there, beyond 20,000 versions."""

    counted = serializers.BooleanField(source="page.counted")
    versions = serializers.IntegerField(source="page.versions")
    instances = serializers.IntegerField(source="page.live")
    states = serializers.SerializerMethodField()
    environments = serializers.SerializerMethodField()

    class Meta(ThingOut.Meta):
        fields = (*ThingOut.Meta.fields, "counted", "states", "environments")  # type: ignore[assignment]

    @extend_schema(responses=CountOut(many=True))
    def get_states(self, row: Any) -> list[dict[str, Any]]:
        return [{"name": state, "count": n} for state, _, n in row.page.states]

    def get_environments(self, row: Any) -> list[dict[str, Any]]:
        return [{"name": slug, "count": n} for slug, _, n in row.page.places]


class UsesViewSet(DirectoryViewSet[Thing]):
    """Tools, models, datasets, prompts and agents, and who uses each."""

    queryset = Thing.objects.all()
    serializer_class = ThingOut
    filterset_class = filters.DependencyFilter
    prefix = "thg"

    def _see(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return visible(rows, self.request.user, Right.READ_DIRECTORY)

    def get_queryset(self) -> QuerySet[Thing]:
        return queries.used_things(self._see)

    def list(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Each with how many versions and live instances use it."""
        held = scopes(request.user, Right.READ_DIRECTORY)
        see = partial(visible, actor=request.user, right=Right.READ_DIRECTORY, held=held)
        things = self.filter_queryset(queries.used_things(see))
        if not queries.sees_all(request.user, held):
            things = queries.found_first(things)
        rows: Any = self.paginate_queryset(things) or []
        counts = queries.counts_of(rows, request.user, held)
        names = queries.agent_names(rows, see)
        for row in rows:
            row.used, row.agent = counts.get(row.pk, queries.Used()), names.get(row.pk)
        return self.get_paginated_response(ThingOut(rows, many=True).data)

    @extend_schema(responses=UsesOut)
    def retrieve(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Who uses it: versions by state, live instances by environment."""
        thing: Any = self.get_object()
        thing.agent = queries.agent_names([thing], self._see).get(thing.pk)
        thing.page = queries.uses_page(thing, self._see)
        return Response(UsesOut(thing).data)

    @extend_schema(responses=VersionOut(many=True))
    @action(detail=True, methods=["get"], filterset_class=None)
    def versions(self, request: Request, id: str) -> Response:
        """The versions that use it, the newest first."""
        thing = self.get_object()
        rows: QuerySet[AgentVersion] = queries.users_of(thing).select_related("template", "genome")
        rows = rows.select_related("created_by", "submitted_by").defer("genome__content")
        seen = self._see(rows.prefetch_related("parents"))
        found = self.paginate_queryset(seen) or []
        return self.get_paginated_response(VersionOut(found, many=True).data)
