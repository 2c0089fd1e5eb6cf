"""`/api/v1/federation/…`: clients and commands for people's programs; the verbs are the pages' own."""

from typing import Any

from django.urls import include, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from arm.api import Request, TypeIDField, validated
from arm.rights import Right
from policy.api.serializers.base import ReasonIn
from telemetry.api import AskedViewSet

from . import services
from .filters import ClientFilter, CommandFilter
from .models import Command, ProviderClient


class ClientOut(serializers.ModelSerializer[ProviderClient]):
    """Keys by their thumbprints (RFC 7638)."""

    id = TypeIDField("pcl", source="pk")
    provider = serializers.CharField(source="provider.slug")
    invited_by = serializers.CharField(source="invite.invited_by.username")
    approved_by = serializers.CharField(source="approved_by.username", default=None)

    class Meta:
        model = ProviderClient
        fields = (
            "id", "provider", "name", "status", "software_id", "software_version", "contacts", "scope", "capabilities",
            "auth_kid", "attest_kid", "epoch", "invited_by", "registered_at", "approved_by", "approved_at", "revoked_at",
        )  # fmt: skip


class CommandOut(serializers.ModelSerializer[Command]):
    """Every mark of the consistency window; null is not yet."""

    id = TypeIDField("cmd", source="pk")
    instance = TypeIDField("ins", source="instance_id")  # type: ignore[assignment]  # DRF takes it off the class
    provider = serializers.CharField(source="provider.slug")

    class Meta:
        model = Command
        fields = (
            "id", "instance", "provider", "generation", "from_state", "to_state", "restrictive", "state", "sha256",
            "decided_at", "available_at", "delivered_at", "delivery_count", "acked_at", "applying_at", "applied_at",
            "attested_at", "finished_at", "ack_by", "enforce_by", "error_code", "error_text",
        )  # fmt: skip


class ApproveIn(ReasonIn):
    """The thumbprints that were compared with the provider."""

    auth_kid = serializers.CharField(max_length=43)
    attest_kid = serializers.CharField(max_length=43)


class ClientViewSet(AskedViewSet[ProviderClient]):
    """Who speaks for providers."""

    queryset = ProviderClient.objects.select_related("provider", "invite__invited_by", "approved_by")
    view_right = Right.READ_DIRECTORY
    serializer_class = ClientOut
    filterset_class = ClientFilter
    prefix = "pcl"

    @extend_schema(request=ApproveIn, responses=ClientOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, id: str) -> Response:
        """Approve a client that another person has invited. A token cannot: people do, signed in."""
        client, body = self.get_object(), validated(ApproveIn, request)
        return self._told(services.approve_client(client=client, actor=request.user, **body))

    @extend_schema(request=ReasonIn, responses=ClientOut)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, id: str) -> Response:
        """End a client, its tokens and its session at once."""
        client, body = self.get_object(), validated(ReasonIn, request)
        return self._told(services.revoke_client(client=client, actor=request.user, **body))

    def _told(self, client: ProviderClient) -> Response:
        row: Any = self.queryset.get(pk=client.pk)
        return Response(ClientOut(row).data)


class CommandViewSet(AskedViewSet[Command]):
    """What providers were told, and how far it got."""

    queryset = Command.objects.for_list()
    view_right = Right.READ_DIRECTORY
    serializer_class = CommandOut
    filterset_class = CommandFilter
    prefix = "cmd"


router = SimpleRouter()
router.register("clients", ClientViewSet, basename="federation-client")
router.register("commands", CommandViewSet, basename="federation-command")

urlpatterns = [path("", include(router.urls))]
