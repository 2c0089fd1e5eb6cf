"""Endpoints of the addresses whose keys are believed on agent cards."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, StrictSerializer, TypeIDField, tenant_of, validated
from arm.rights import Right
from registry import services
from registry.api.base import DirectoryViewSet
from registry.api.serializers import also_shows
from registry.filters.exchange import CardKeyFilter
from registry.models import CardKeySource


@also_shows(CardKeySource)
class CardKeyOut(serializers.Serializer[Any]):
    id = TypeIDField("cks", source="pk")
    address = serializers.CharField(source="url")
    internal = serializers.BooleanField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True)


class CardKeyIn(StrictSerializer):
    url = serializers.CharField(max_length=500)
    internal = serializers.BooleanField(default=False)
    reason = serializers.CharField(max_length=500)


class CardKeyEndIn(StrictSerializer):
    reason = serializers.CharField(max_length=500)


class CardKeyViewSet(DirectoryViewSet[CardKeySource]):
    """Addresses of keys that may sign agent cards."""

    queryset = CardKeySource.objects.all()
    serializer_class = CardKeyOut
    filterset_class = CardKeyFilter
    view_right = Right.MANAGE_TENANT
    prefix = "cks"

    @extend_schema(request=CardKeyIn, responses={201: CardKeyOut})
    def create(self, request: Request) -> Response:
        """Verify agent cards by the keys at this address from now on."""
        body = validated(CardKeyIn, request)
        made = services.trust_card_keys(tenant=tenant_of(request), actor=request.user, **body)
        return Response(CardKeyOut(made).data, status=201)

    @extend_schema(request=CardKeyEndIn, responses=CardKeyOut)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        """From the next import on, its signatures prove nothing here."""
        source = self.get_object()
        body = validated(CardKeyEndIn, request)
        ended = services.end_card_keys(source=source, actor=request.user, reason=body["reason"])
        return Response(CardKeyOut(ended).data)
