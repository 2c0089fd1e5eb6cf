"""What the endpoint of environments has beyond reading: adding one, changing it, and what another order would change."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, TypeIDField, tenant_of, validated
from arm.errors import Invalid, Problem
from arm.rights import Risk
from registry import filters, queries, services
from registry.api import serializers as words
from registry.api.base import DirectoryViewSet, created
from registry.api.serializers import Reasoned
from registry.models import Environment


class EnvironmentChange(Reasoned):
    """What is left out stays. `order`: the slugs that the preview was of, in their order."""

    name = serializers.CharField(max_length=120, required=False)
    position = serializers.IntegerField(min_value=1, max_value=10_000, required=False)
    production = serializers.BooleanField(required=False)
    risk_default = serializers.ChoiceField(Risk.choices, required=False)
    retention_days = serializers.IntegerField(min_value=1, max_value=3650, required=False)
    aggregate_days = serializers.IntegerField(min_value=1, max_value=3650, required=False)
    cost_tags = serializers.DictField(child=serializers.CharField(max_length=200), required=False)
    order = serializers.ListField(child=serializers.SlugField(max_length=40), required=False, max_length=500)


class ChannelRuleOut(serializers.Serializer[Any]):
    """An environment whose channel before it becomes another one."""

    environment = serializers.CharField(source="environment.slug")
    before = serializers.CharField(source="before.slug", default=None, allow_null=True)
    after = serializers.CharField(source="after.slug", default=None, allow_null=True)
    slots = serializers.IntegerField()
    hidden = serializers.IntegerField()
    strangers = serializers.IntegerField(help_text="Slots whose version was never in that channel.")


class OrderPreviewOut(serializers.Serializer[Any]):
    """What another place in the order would change, and which rollouts stand in its way."""

    position = serializers.IntegerField(source="place")
    order = serializers.ListField(child=serializers.CharField())
    then = serializers.ListField(child=serializers.CharField())
    changes = ChannelRuleOut(many=True)
    rollouts = serializers.ListField(child=TypeIDField("rlt"))


class EnvironmentViewSet(DirectoryViewSet[Environment]):
    """Stages of release."""

    queryset = Environment.objects.all()
    serializer_class = words.EnvironmentOut
    filterset_class = filters.EnvironmentFilter
    prefix = "env"

    @extend_schema(request=words.EnvironmentIn, responses={201: words.EnvironmentOut})
    def create(self, request: Request) -> Response:
        """Add an environment at the end of the channel order."""
        body = _typed(validated(words.EnvironmentIn, request))
        made = services.create_environment(tenant=tenant_of(request), actor=request.user, **body)
        return created(words.EnvironmentOut(made))

    @extend_schema(request=EnvironmentChange, responses=words.EnvironmentOut)
    def partial_update(self, request: Request, id: str) -> Response:
        """Change it, or its place in the order. 409 names the rollouts that ask a rule which would change."""
        environment = self.get_object()
        body = _typed(validated(EnvironmentChange, request))
        changed = services.update_environment(environment=environment, actor=request.user, **body)
        return Response(words.EnvironmentOut(changed).data)

    @extend_schema(
        parameters=[OpenApiParameter("position", int, required=True, description="The place, from 1.")],
        responses=OrderPreviewOut,
    )
    @action(
        detail=True, methods=["get"], url_path="order-preview", pagination_class=None, filterset_class=None
    )
    def order_preview(self, request: Request, id: str) -> Response:
        """Which slots would ask another channel before them; nothing is changed."""
        environment = self.get_object()
        try:
            place = int(request.query_params.get("position", ""))
            preview = queries.order_preview(environment, place, request.user)
        except ValueError as wrong:
            message = str(wrong) if "places" in str(wrong) else "Name the place by its number, from 1."
            raise Invalid(message, [Problem(pointer="/position", code="range", message=message)]) from None
        return Response(OrderPreviewOut(preview).data)


def _typed(body: dict[str, Any]) -> dict[str, Any]:
    if "risk_default" in body:
        body["risk_default"] = Risk(body["risk_default"])
    return body
