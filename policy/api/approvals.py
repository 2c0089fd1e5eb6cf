"""Approvals for machines: what waits, one request (the address that an agent polls), and the decision."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, tenant_of, validated
from arm.authentication import KeyAuthentication, Session
from arm.errors import NotAllowed
from arm.rights import Right
from policy import services
from policy.api import serializers as words
from policy.api.base import PolicyViewSetBase, WorkloadIfAny
from policy.filters import ApprovalFilter
from policy.lifecycle import ApprovalKind
from policy.models import ApprovalRequest
from policy.queries.approvals import waiting_for
from registry.api.base import Workload


class ApprovalViewSet(PolicyViewSetBase[ApprovalRequest]):
    """Requests for a person's decision, each bound to the digest of exactly one action.

    An agent reads its own requests with its workload token; everything else is for people and service accounts.
    """

    authentication_classes = [WorkloadIfAny, KeyAuthentication, Session]
    queryset = ApprovalRequest.objects.for_list()
    serializer_class = words.ApprovalOut
    filterset_class = ApprovalFilter
    view_right = Right.READ_DECISIONS
    prefix = "apr"

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if isinstance(request.user, Workload) and self.action != "retrieve":
            raise NotAllowed("An agent may read its own requests; people decide them.")

    def get_queryset(self) -> QuerySet[ApprovalRequest]:
        speaker: Any = self.request.user
        if isinstance(speaker, Workload):
            return ApprovalRequest.objects.filter(
                instance=speaker.instance, kind=ApprovalKind.TOOL_CALL
            ).select_related("requested_by")
        return super().get_queryset()

    @extend_schema(responses=words.ApprovalDetailOut)
    def retrieve(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """One request with its state as it is now; the address that an agent polls."""
        found = self.get_object()
        agent = isinstance(request.user, Workload)
        return Response((words.ApprovalOut if agent else words.ApprovalDetailOut)(found).data)

    @extend_schema(responses=words.ApprovalOut(many=True))
    @action(detail=False, methods=["get"], filterset_class=None, pagination_class=None)
    def mine(self, request: Request) -> Response:
        """What waits and the caller may decide, soonest to expire first; at most 200."""
        rows = waiting_for(request.user, tenant_of(request), ApprovalRequest.objects.for_list())
        return Response(words.ApprovalOut(rows[:200], many=True).data)

    @extend_schema(request=words.DecideApprovalIn, responses=words.ApprovalDetailOut)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, id: str) -> Response:
        """Say yes or no to what stands under `digest`, with a reason."""
        found = self.get_object()
        body = validated(words.DecideApprovalIn, request)
        decided = services.decide_approval(request=found, actor=request.user, **body)
        return Response(words.ApprovalDetailOut(decided).data)

    @extend_schema(request=words.ReasonIn, responses=words.ApprovalDetailOut)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, id: str) -> Response:
        """Take a request back."""
        found = self.get_object()
        body = validated(words.ReasonIn, request)
        cancelled = services.cancel_approval(request=found, actor=request.user, reason=body["reason"])
        return Response(words.ApprovalDetailOut(cancelled).data)
