"""Endpoint of what drains, each with why it is not retired yet."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from registry import queries
from registry.api.base import DirectoryViewSet
from registry.api.serializers import InstanceOut
from registry.filters.draining import DrainingFilter
from registry.models import AgentInstance


class WaitOut(serializers.Serializer[Any]):
    """What is missing before ARM retires it: `mend` is the page where, `right` what that takes."""

    gate = serializers.CharField()
    reason = serializers.CharField()
    mend = serializers.CharField()
    right = serializers.CharField()


class DrainingOut(InstanceOut):
    """An instance that drains. `waits_for` is empty where the next round retires it."""

    waits_for = serializers.SerializerMethodField()

    class Meta(InstanceOut.Meta):
        fields = (*InstanceOut.Meta.fields, "waits_for")  # type: ignore[assignment]

    @extend_schema_field(WaitOut(many=True))
    def get_waits_for(self, instance: AgentInstance) -> Any:
        (row,) = queries.told([instance])
        return WaitOut(row.waits_for, many=True).data


class DrainingViewSet(DirectoryViewSet[AgentInstance]):
    """What drains across the fleet, and what each still waits for."""

    queryset = queries.all_draining()
    serializer_class = DrainingOut
    filterset_class = DrainingFilter
    prefix = "ins"

    def get_queryset(self) -> QuerySet[AgentInstance]:
        return queries.with_why(super().get_queryset())

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """What all of a page have in flight is asked at once."""
        if args and kwargs.get("many"):
            queries.read_ahead(args[0])
        return super().get_serializer(*args, **kwargs)
