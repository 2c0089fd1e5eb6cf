"""What could not be linked, for machines: the spans that were kept, and how many there were by reason."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, TypeIDField
from arm.permissions import visible
from arm.rights import Right

from ..filters import QuarantineFilter
from ..models import QuarantineCount, QuarantinedEvent
from ..queries import quarantined_by_reason, way_out
from .asking import AskedViewSet


class QuarantinedOut(serializers.ModelSerializer[QuarantinedEvent]):
    """A span as it came, without its content, why it is held back, and what to do about it."""

    id = TypeIDField("qua", source="pk")
    environment = serializers.CharField(source="environment.slug")
    provider = serializers.CharField(source="provider.slug")
    way_out = serializers.SerializerMethodField()

    class Meta:
        model = QuarantinedEvent
        fields = (
            "id",
            "reason",
            "detail",
            "way_out",
            "environment",
            "provider",
            "occurred_at",
            "received_at",
            "payload",
        )

    def get_way_out(self, row: QuarantinedEvent) -> str:
        return way_out(row.reason)


class ReasonOut(serializers.Serializer[Any]):
    """How many spans one reason holds back: all that came, also those that were not kept."""

    reason = serializers.CharField()
    seven_days = serializers.IntegerField(source="spans")
    today = serializers.IntegerField()
    way_out = serializers.CharField()


class QuarantineViewSet(AskedViewSet[QuarantinedEvent]):
    """Spans that named nobody of ours, newest first. `reason`, `environment` and `provider` may be given several times;
    `since` and `until` are about when a span came."""

    queryset = QuarantinedEvent.objects.select_related("environment", "provider")
    view_right = Right.READ_TELEMETRY
    prefix = "qua"
    filterset_class = QuarantineFilter
    serializer_class = QuarantinedOut

    @extend_schema(responses=ReasonOut(many=True), filters=False)
    @action(detail=False, pagination_class=None)
    def counts(self, request: Request) -> Response:
        """Every reason with its count of the last seven days and of today, the most frequent first."""
        seen = visible(QuarantineCount.objects.all(), request.user, self.view_right)
        return Response(ReasonOut(quarantined_by_reason(seen), many=True).data)
