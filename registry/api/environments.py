"""What the endpoint of environments has beyond reading: adding one, changing it, and what another order would change."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, StrictSerializer, TypeIDField, tenant_of, validated
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


class StartAsked(StrictSerializer):
    """From which of the slots, and of the versions beside them, a look begins."""

    start = serializers.IntegerField(min_value=0, max_value=100_000, required=False, default=0)


class RulesAsked(StartAsked):
    """The rules that a preview is of; what is left out stays."""

    production = serializers.BooleanField(required=False)
    risk_default = serializers.ChoiceField(Risk.choices, required=False)


class SlotLackOut(serializers.Serializer[Any]):
    """A slot whose version would not be bound now, and why."""

    slot = TypeIDField("slt", source="slot.pk")
    version = TypeIDField("ver", source="slot.current_version_id")
    reasons = serializers.ListField(child=serializers.CharField())


class BesideLackOut(serializers.Serializer[Any]):
    """A version whose instances outside slots would not be activated now."""

    version = TypeIDField("ver", source="version.pk")
    instances = serializers.IntegerField()
    adopted = serializers.IntegerField(help_text="Of these, taken over as they ran.")
    reasons = serializers.ListField(child=serializers.CharField())


class LacksOut(serializers.Serializer[Any]):
    """What stands that the rules would not let in, as far as the caller sees it; the rest is counted."""

    slots = SlotLackOut(many=True)
    hidden_slots = serializers.IntegerField()
    beside = BesideLackOut(many=True)
    hidden_instances = serializers.IntegerField()
    unasked = serializers.IntegerField(help_text="Slots and versions beyond what one look asks about.")
    next_start = serializers.IntegerField(help_text="`start` of the next look; 0 where nothing is left.")
    rollouts = serializers.ListField(child=TypeIDField("rlt"))
    hidden_rollouts = serializers.IntegerField()


class OrderPreviewOut(serializers.Serializer[Any]):
    """What another place in the order would change, and which rollouts stand in its way."""

    position = serializers.IntegerField(source="place")
    order = serializers.ListField(child=serializers.CharField())
    then = serializers.ListField(child=serializers.CharField())
    changes = ChannelRuleOut(many=True)
    rollouts = serializers.ListField(child=TypeIDField("rlt"))
    hidden_rules = serializers.IntegerField()
    hidden_rollouts = serializers.IntegerField()


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

    @extend_schema(
        parameters=[
            OpenApiParameter("production", bool, description="Whether it were production."),
            OpenApiParameter("risk_default", str, enum=Risk.values, description="Its risk by default then."),
        ],
        responses=LacksOut,
    )
    @action(
        detail=True, methods=["get"], url_path="change-preview", pagination_class=None, filterset_class=None
    )
    def change_preview(self, request: Request, id: str) -> Response:
        """Whom other rules would refuse who are let in today; nothing is changed, and nothing would be stopped."""
        environment = self.get_object()
        asked = RulesAsked(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        preview = queries.change_preview(environment, request.user, **asked.validated_data)
        return Response(LacksOut(preview).data)

    @extend_schema(parameters=[StartAsked], responses=LacksOut)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def lacks(self, request: Request, id: str) -> Response:
        """What stands there that its rules would not let in now: at most 25 slots and 25 versions beside them at once."""
        environment = self.get_object()
        asked = StartAsked(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        return Response(LacksOut(queries.lacks_of(environment, request.user, **asked.validated_data)).data)


def _typed(body: dict[str, Any]) -> dict[str, Any]:
    if "risk_default" in body:
        body["risk_default"] = Risk(body["risk_default"])
    return body
