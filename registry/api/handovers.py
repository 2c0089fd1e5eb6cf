"""Endpoints of handovers: what works on in a slot until it is replaced, and the end of it."""

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, TypeIDField, validated
from arm.filters import YesNo
from registry import services
from registry.api.base import DirectoryViewSet
from registry.api.serializers import Out, Reasoned
from registry.engine import HandoverEnd
from registry.filters import TypeIDFilter
from registry.models import Handover


class HandoverOut(Out):
    """`wanted` are at work at any moment; `outcome` is empty while something works on."""

    noun = "handovers"
    id = TypeIDField("hov", source="pk")
    slot = TypeIDField("slt", source="slot_id")
    version = TypeIDField("ver", source="version_id")
    rollout = TypeIDField("rlt", source="rollout_id", allow_null=True)
    rollback = TypeIDField("rbk", source="rollback_id", allow_null=True)
    actor = serializers.CharField(source="actor_label")
    outcome = serializers.CharField(
        help_text=f"Empty while something works on; then one of {', '.join(HandoverEnd.values)}."
    )

    class Meta:
        model = Handover
        fields = (
            *("id", "url", "slot", "version", "wanted", "at_work", "drained", "since", "until"),
            *("rollout", "rollback", "reason", "actor", "ended_at", "outcome"),
        )


class HandoverFilter(django_filters.FilterSet):  # type: ignore[misc]
    slot = TypeIDFilter("slt", field_name="slot", label="Slot (slt_…)")
    version = TypeIDFilter("ver", field_name="version", label="Version left (ver_…)")
    open = YesNo(field_name="ended_at", lookup_expr="isnull", label="Something works on")

    class Meta:
        model = Handover
        fields: list[str] = []


class HandoverViewSet(DirectoryViewSet[Handover]):
    """Versions that slots were rebound away from, and what still works on there."""

    queryset = Handover.objects.order_by("-pk")
    serializer_class = HandoverOut
    filterset_class = HandoverFilter
    prefix = "hov"


class DrainedOut(serializers.Serializer[Any]):
    drained = serializers.IntegerField()


class SlotHandovers:
    """What a slot's endpoint has of handovers."""

    @extend_schema(request=Reasoned, responses=DrainedOut)
    @action(detail=True, methods=["post"], url_path="drain-at-once")
    def drain_at_once(self, request: Request, id: str) -> Response:
        """What works on until it is replaced drains now. 409 where nothing does."""
        slot = self.get_object()  # type: ignore[attr-defined]
        body = validated(Reasoned, request)
        drained = services.drain_at_once(slot=slot, actor=request.user, reason=body["reason"])
        return Response({"drained": drained})
