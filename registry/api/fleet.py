"""Endpoints of instances, slots, environments and providers."""

from typing import Any

from django.db.models import Model
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView

from arm import ids
from arm.api import Request, tenant_of, validated
from arm.permissions import require
from arm.rights import Right
from registry import filters, gates, queries, services
from registry.api import serializers as words
from registry.api.base import DirectoryViewSet, StrictJSON, Workload, WorkloadToken, created, with_rows
from registry.api.directory import row_of, step_out
from registry.api.handovers import SlotHandovers
from registry.api.history import MOMENT, PastOut, TellPastIn, ToldOut, asked_moment, past_out
from registry.api.providers import ProviderLife, SlotEnd
from registry.api.releases import SlotReleases
from registry.api.spawn import SpawnActions
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, AgentVersion, DeploymentSlot, Environment, Provider, RoleDefinition

SLOTS = DeploymentSlot.objects.select_related(
    "environment", "role", "provider", "current_version__template", "previous_version__template"
)

PLACED: dict[str, tuple[type[Model], str]] = {
    "version": (AgentVersion, "pk"),
    "environment": (Environment, "slug"),
    "provider": (Provider, "slug"),
    "slot": (DeploymentSlot, "pk"),
    "role": (RoleDefinition, "slug"),
}
"""The rows that a new instance is made of, and how they are named."""
SLOTTED = {name: PLACED[name] for name in ("environment", "role", "provider")}


class InstanceViewSet(SpawnActions, DirectoryViewSet[AgentInstance]):
    """What runs: what ARM wants of it, and what was last reported."""

    queryset = AgentInstance.objects.for_list()
    serializer_class = words.InstanceOut
    filterset_class = filters.InstanceFilter
    prefix = "ins"

    @extend_schema(request=words.ProvisionIn, responses={201: words.InstanceOut})
    def create(self, request: Request) -> Response:
        """Provision an instance; it may do nothing until it is moved to `active`."""
        body = with_rows(words.ProvisionIn, request, PLACED, services.provisioning_problems)
        made = services.provision_instance(**body, actor=request.user)
        return created(words.InstanceOut(made))

    @extend_schema(request=words.MoveInstanceIn, responses=words.InstanceOut)
    @action(detail=True, methods=["post"])
    def move(self, request: Request, id: str) -> Response:
        """Restrict at once, activate, release or retire; a refusal names all that is missing."""
        instance = self.get_object()
        body = validated(words.MoveInstanceIn, request)
        moved = services.move_instance(
            instance=instance, to=InstanceState(body["to"]), actor=request.user, reason=body["reason"]
        )
        return Response(words.InstanceOut(moved).data)

    @extend_schema(request=words.MoveInstanceIn, responses={202: {"type": "object"}})
    @action(detail=True, methods=["post"], url_path="request-release")
    def request_release(self, request: Request, id: str) -> Response:
        """Ask second persons for a release that one may not make alone."""
        instance = self.get_object()
        body = validated(words.MoveInstanceIn, request)
        asked = services.request_instance_release(
            instance=instance, to=InstanceState(body["to"]), actor=request.user, reason=body["reason"]
        )
        return Response({"request": ids.encode(gates.APPROVAL, asked)}, status=202)

    @extend_schema(request=TellPastIn, responses={201: ToldOut})
    @action(detail=True, methods=["post"])
    def past(self, request: Request, id: str) -> Response:
        """Tell what it was from a moment that has passed, for the history; its present stays as it is."""
        instance = self.get_object()
        body = validated(TellPastIn, request)
        if "version" in body:
            body["version"] = row_of(AgentVersion, "/version", request, pk=body["version"])
        told = services.tell_past(instance=instance, actor=request.user, **body)
        return Response(ToldOut(told).data, status=201)

    @extend_schema(parameters=MOMENT, responses=PastOut)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def at(self, request: Request, id: str) -> Response:
        """What it was at `at`, as told by `known`, and what held for it then. 404 where it was not known yet."""
        instance, moment = self.get_object(), asked_moment(request)
        return Response(past_out(queries.past_page(instance, moment, request.user), moment))

    @extend_schema(responses=words.StepOut(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def steps(self, request: Request, id: str) -> Response:
        """Where the instance may go from here, and what is missing for each step."""
        page = queries.instance_page(self.get_object(), request.user)
        return Response([step_out(step) for step in page.steps])

    @extend_schema(request=words.HeartbeatIn, responses=words.HeartbeatOut)
    @action(detail=True, methods=["post"])
    def heartbeat(self, request: Request, id: str) -> Response:
        """A provider reports that the instance lives."""
        instance = self.get_object()
        require(request.user, Right.SEND_TELEMETRY, instance)
        return Response(_beat(instance, validated(words.HeartbeatIn, request)))


class Heartbeat(APIView):
    """An instance reports itself, with its own workload token."""

    authentication_classes = [WorkloadToken]
    parser_classes = [StrictJSON]

    @extend_schema(request=words.HeartbeatIn, responses=words.HeartbeatOut)
    def post(self, request: Any) -> Response:
        """I live; the answer says what I should be and do."""
        speaker: Workload = request.user
        return Response(_beat(speaker.instance, validated(words.HeartbeatIn, request)))


def _beat(instance: AgentInstance, body: dict[str, Any]) -> Any:
    told = services.heartbeat(
        instance=instance,
        state=body.get("state", ""),
        generation=body.get("generation"),
        observed_at=body.get("observed_at"),
    )
    return words.HeartbeatOut(told).data


class SlotViewSet(SlotReleases, SlotHandovers, SlotEnd, DirectoryViewSet[DeploymentSlot]):
    """Places that versions are bound to."""

    queryset = SLOTS
    serializer_class = words.SlotOut
    filterset_class = filters.SlotFilter
    prefix = "slt"

    @extend_schema(request=words.SlotIn, responses={201: words.SlotOut})
    def create(self, request: Request) -> Response:
        """Open an empty slot."""
        body = with_rows(words.SlotIn, request, SLOTTED, lambda **_: ())
        made = services.create_slot(
            environment=body["environment"],
            role=body["role"],
            provider=body["provider"],
            ordinal=body.get("ordinal"),
            actor=request.user,
            reason=body["reason"],
        )
        return created(words.SlotOut(made))

    @extend_schema(request=words.BindIn, responses=words.BoundOut)
    @action(detail=True, methods=["post"])
    def bind(self, request: Request, id: str) -> Response:
        """Bind or rebind; what was bound becomes `previous_version`. No instance is moved: `instances_left` says how many
        run another version."""
        slot = self.get_object()
        body = validated(words.BindIn, request)
        version = row_of(AgentVersion, "/version", request, pk=body["version"])
        body["version"] = version
        if "seen" in body:
            body["seen"] = ids.encode("ver", body["seen"]) if body["seen"] else ""
        bound = services.bind_slot(slot=slot, actor=request.user, **body)
        return Response(words.BoundOut(bound).data)


class ProviderViewSet(ProviderLife, DirectoryViewSet[Provider]):
    """Whose machines run instances."""

    queryset = Provider.objects.all()
    serializer_class = words.ProviderOut
    filterset_class = filters.ProviderFilter
    prefix = "prov"

    @extend_schema(request=words.ProviderIn, responses={201: words.ProviderOut})
    def create(self, request: Request) -> Response:
        """Add a provider."""
        body = validated(words.ProviderIn, request)
        if "kind" in body:
            body["kind"] = Provider.Kind(body["kind"])
        made = services.create_provider(tenant=tenant_of(request), actor=request.user, **body)
        return created(words.ProviderOut(made))
