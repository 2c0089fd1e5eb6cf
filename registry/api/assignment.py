"""The endpoint that tells runtimes which version they should run."""

from typing import Any
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request as AnyRequest
from rest_framework.response import Response
from rest_framework.views import APIView

from arm.api import TypeIDField
from arm.authentication import KeyAuthentication, Session
from arm.errors import Invalid, Problem
from arm.models import ApiKey
from arm.permissions import visible
from arm.rights import Right
from registry import queries
from registry.api.base import Workload, WorkloadScheme, WorkloadToken
from registry.models import DeploymentSlot


class SlotAssignmentOut(serializers.Serializer[Any]):
    """Which version a key gets in a slot. Ask again after `until`."""

    slot = TypeIDField("slt", source="slot.pk")
    key = serializers.CharField()
    version = TypeIDField("ver", source="version.pk", default=None, allow_null=True)
    genome = serializers.CharField(source="version.genome.digest", default=None, allow_null=True)
    generation = serializers.IntegerField(source="slot.generation")
    canary = serializers.BooleanField()
    rollout = TypeIDField("rlt", source="rollout.rollout_id", default=None, allow_null=True)
    step = serializers.IntegerField(allow_null=True)
    share = serializers.IntegerField(help_text="Percent of keys that get the canary's version.")
    until = serializers.DateTimeField()


class WorkloadIfSent(BaseAuthentication):
    """A workload token where one is sent; otherwise whoever else the request comes from."""

    def authenticate(self, request: AnyRequest) -> tuple[Workload, ApiKey] | None:
        if not request.headers.get("Authorization", "").lower().startswith("bearer armw_"):
            return None
        return WorkloadToken().authenticate(request)

    def authenticate_header(self, request: AnyRequest) -> str:
        return 'Bearer realm="arm"'


class WorkloadIfSentScheme(WorkloadScheme):  # type: ignore[no-untyped-call]
    """The same token, told to the OpenAPI document for the endpoint that also takes others."""

    target_class = "registry.api.assignment.WorkloadIfSent"
    name = "workload_of_slot"


class SlotAssignment(APIView):
    """Which version runs, asked by runtimes: cheap, and the same answer for the same key everywhere."""

    authentication_classes = [WorkloadIfSent, KeyAuthentication, Session]
    prefix = "slt"

    @extend_schema(
        parameters=[
            OpenApiParameter("key", str, description="What is assigned; the instance itself if left out.")
        ],
        responses={200: SlotAssignmentOut, 304: None},
    )
    def get(self, request: Any, pk: UUID) -> Response:
        """The version for a key, to be kept for as long as Cache-Control says; If-None-Match is answered 304."""
        found = queries.assignment(self._slot(request, pk), self._key(request))
        if found is None:
            raise Http404
        age = int(queries.CACHED.total_seconds())
        headers = {"ETag": f'"{found.etag}"', "Cache-Control": f"private, max-age={age}"}
        asked = request.headers.get("If-None-Match", "")
        if asked.strip() == "*" or f'"{found.etag}"' in asked:
            return Response(status=304, headers=headers)
        return Response(SlotAssignmentOut(found).data, headers=headers)

    def _slot(self, request: Any, pk: UUID) -> UUID:
        if isinstance(request.user, Workload):
            if request.user.instance.slot_id != pk:
                raise Http404
            return pk
        if not visible(DeploymentSlot.objects.filter(pk=pk), request.user, Right.READ_DIRECTORY).exists():
            raise Http404
        return pk

    def _key(self, request: Any) -> str:
        key = request.query_params.get("key", "")
        if not key and isinstance(request.user, Workload):
            return request.user.instance.typeid
        if not 1 <= len(key) <= 200:
            message = "Say for which key (at most 200 characters); a workload token may leave it out."
            raise Invalid(message, [Problem(pointer="/key", code="required", message=message)])
        return str(key)
