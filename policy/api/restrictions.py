"""Requests for a stop, for machines that ask on a person's behalf; people answer them signed in."""

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, validated
from policy import services
from policy.api import serializers as words
from policy.api.base import PolicyViewSetBase, created, scope_of
from policy.engine import Mode
from policy.filters import RestrictionFilter
from policy.models import RestrictionRequest
from policy.queries.stops import with_scope


class RestrictionViewSet(PolicyViewSetBase[RestrictionRequest]):
    """Requests for a stop that one person may not set alone, each bound to the digest of exactly what is asked."""

    queryset = with_scope(RestrictionRequest.objects.all())
    serializer_class = words.RestrictionOut
    filterset_class = RestrictionFilter
    prefix = "rsq"

    @extend_schema(responses=words.RestrictionDetailOut)
    def retrieve(self, request: Request, id: str) -> Response:  # type: ignore[override]
        """One request with its state as it is now, and who may answer it."""
        return Response(words.RestrictionDetailOut(self.get_object()).data)

    @extend_schema(request=words.RestrictionIn, responses={201: words.RestrictionDetailOut})
    def create(self, request: Request) -> Response:
        """Ask for a stop. By a token the asker counts as nobody, whoever the token acts as."""
        body = validated(words.RestrictionIn, request)
        scope = scope_of("/scope", body.pop("scope"), request)
        mode = Mode(body.pop("mode"))
        asked = services.request_restriction(scope=scope, mode=mode, actor=request.user, **body)
        return created(words.RestrictionDetailOut(asked))

    @extend_schema(request=words.ConfirmRestrictionIn, responses=words.RestrictionDetailOut)
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, id: str) -> Response:
        """Say yes to what stands under `digest`, signed in and not by a token. The last yes sets the stop."""
        found = self.get_object()
        body = validated(words.ConfirmRestrictionIn, request)
        answered = services.confirm_restriction(request=found, actor=request.user, **body)
        return Response(words.RestrictionDetailOut(answered).data)

    @extend_schema(request=words.ReasonIn, responses=words.RestrictionDetailOut)
    @action(detail=True, methods=["post"])
    def decline(self, request: Request, id: str) -> Response:
        """Say no; one is enough."""
        found = self.get_object()
        body = validated(words.ReasonIn, request)
        answered = services.decline_restriction(request=found, actor=request.user, reason=body["reason"])
        return Response(words.RestrictionDetailOut(answered).data)

    @extend_schema(request=words.ReasonIn, responses=words.RestrictionDetailOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, id: str) -> Response:
        """Take the own request back."""
        found = self.get_object()
        body = validated(words.ReasonIn, request)
        answered = services.withdraw_restriction(request=found, actor=request.user, reason=body["reason"])
        return Response(words.RestrictionDetailOut(answered).data)
