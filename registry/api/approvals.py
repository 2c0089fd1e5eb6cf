"""Endpoints of approving: who has approved a version, give one's approval, take it back."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, TypeIDField, validated
from arm.permissions import held_on
from registry import queries, services
from registry.api import serializers as words
from registry.api.evidence import EvidenceOut
from registry.api.serializers import Reasoned


class VersionApprovalOut(serializers.Serializer[Any]):
    """`standing`: `counts`, `withdrawn`, `lapsed` (its giver may not approve it any more), `voided` (an earlier round)."""

    id = TypeIDField("vap", source="approval.pk")
    person = serializers.CharField(source="approval.person.username")
    at = serializers.DateTimeField(source="approval.at")
    reason = serializers.CharField(source="approval.reason")
    round = serializers.IntegerField(source="approval.round")
    genome = serializers.CharField(source="approval.genome_digest")
    standing = serializers.ChoiceField(["counts", "withdrawn", "lapsed", "voided"])


class ApprovingOut(serializers.Serializer[Any]):
    """`needs` people approve it, because of `why`; `left` are missing. `said` is the same in words."""

    needs = serializers.IntegerField(source="quorum.needs")
    left = serializers.IntegerField(source="quorum.left")
    why = serializers.CharField(source="quorum.why")
    said = serializers.CharField(source="quorum.sentence")
    may_approve = serializers.BooleanField()
    may_withdraw = serializers.BooleanField()
    approvals = VersionApprovalOut(many=True, source="rows")


class ApproveVersionIn(Reasoned):
    """All it takes is why."""


class ApprovalActions:
    """For the endpoint of versions."""

    @extend_schema(responses=ApprovingOut)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def approvals(self, request: Request, id: str) -> Response:
        """Who has approved it, who has taken that back, and how many are missing."""
        version = self.get_object()  # type: ignore[attr-defined]
        found = queries.approving(version, request.user, held_on(request.user, version))
        return Response(ApprovingOut(found).data)

    @extend_schema(request=ApproveVersionIn, responses=words.VersionOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, id: str) -> Response:
        """Approve a candidate: it is Approved with the last approval that it needs, and a candidate until then."""
        version = self.get_object()  # type: ignore[attr-defined]
        body = validated(ApproveVersionIn, request)
        approved = services.approve_version(version=version, actor=request.user, **body)
        return Response(words.VersionOut(approved).data)

    @extend_schema(request=ApproveVersionIn, responses=ApprovingOut)
    @action(detail=True, methods=["post"], url_path="withdraw-approval")
    def withdraw_approval(self, request: Request, id: str) -> Response:
        """Take one's own approval back while the version is a candidate."""
        version = self.get_object()  # type: ignore[attr-defined]
        body = validated(ApproveVersionIn, request)
        services.withdraw_approval(version=version, actor=request.user, **body)
        found = queries.approving(version, request.user, held_on(request.user, version))
        return Response(ApprovingOut(found).data)

    @extend_schema(request=ApproveVersionIn, responses={201: EvidenceOut(many=True)})
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    def documents(self, request: Request, id: str) -> Response:
        """Have every document made that stands before approval and is missing; 409 where none is."""
        version = self.get_object()  # type: ignore[attr-defined]
        body = validated(ApproveVersionIn, request)
        made = services.issue_missing(version=version, actor=request.user, **body)
        return Response(EvidenceOut(made, many=True).data, status=status.HTTP_201_CREATED)
