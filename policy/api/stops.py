"""Stops for machines: what stands, what one would reach, setting one, and ending one."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, validated
from policy import services
from policy.api import serializers as words
from policy.api.base import PolicyViewSetBase, created, scope_of
from policy.engine import Mode
from policy.filters import StandingPostureFilter
from policy.models import Posture
from policy.queries import stops as queries


class PostureViewSet(PolicyViewSetBase[Posture]):
    """Stops by scope and mode; several in force allow only what each of them allows."""

    queryset = queries.with_scope(Posture.objects.all())
    serializer_class = words.PostureOut
    filterset_class = StandingPostureFilter
    prefix = "pos"

    @extend_schema(request=words.SetPostureIn, responses={201: words.PostureOut})
    def create(self, request: Request) -> Response:
        """Stop a scope at once. Deciders deny from the commit on. Production and a whole tenant take two people
        (`second_person_needed`): ask at `/restrictions/`."""
        body = validated(words.SetPostureIn, request)
        scope = scope_of("/scope", body.pop("scope"), request)
        mode = Mode(body.pop("mode"))
        posture = services.set_posture(scope=scope, mode=mode, actor=request.user, **body)
        return created(words.PostureOut(posture))

    @extend_schema(request=words.PreviewIn, responses=words.PreviewOut)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """What a stop would reach and deny. Nothing is stored."""
        body: dict[str, Any] = validated(words.PreviewIn, request)
        scope = scope_of("/scope", body.pop("scope"), request)
        found = queries.preview(scope, Mode(body.pop("mode")), request.user, **body)
        return Response(words.PreviewOut(found).data)

    @extend_schema(request=words.ReasonIn, responses=words.PostureOut)
    @action(detail=True, methods=["post"])
    def lift(self, request: Request, id: str) -> Response:
        """End a stop, as far as the rule of its mode lets the caller; `approval_needed` says how many are missing."""
        posture = self.get_object()
        body = validated(words.ReasonIn, request)
        lifted = services.lift_posture(posture=posture, actor=request.user, reason=body["reason"])
        return Response(words.PostureOut(lifted).data)

    @extend_schema(request=words.ReasonIn, responses={202: words.ApprovalOut})
    @action(detail=True, methods=["post"], url_path="request-lift")
    def request_lift(self, request: Request, id: str) -> Response:
        """Ask approvers to agree to the end of a stop."""
        posture = self.get_object()
        body = validated(words.ReasonIn, request)
        asked = services.request_lift(posture=posture, actor=request.user, reason=body["reason"])
        return Response(words.ApprovalOut(asked).data, status=202)
