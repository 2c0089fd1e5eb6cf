"""How requests for an approval look, and how one is decided."""

from rest_framework import serializers

from arm.api import StrictSerializer, TypeIDField
from policy.models import (
    ApprovalDecision,
    ApprovalRequest,
)
from policy.queries.approvals import true_state

from .base import Out


class ApprovalDecisionOut(serializers.ModelSerializer[ApprovalDecision]):
    person = serializers.CharField(source="person.username")

    class Meta:
        model = ApprovalDecision
        fields: tuple[str, ...] = ("person", "approve", "reason", "at")


class ApprovalOut(Out):
    """`state` is true now: a request past its time is expired, whether or not that is written yet."""

    noun = "approvals"
    id = TypeIDField("apr", source="pk")
    state = serializers.SerializerMethodField()
    instance = TypeIDField("ins", source="instance_id", default=None)
    decision = TypeIDField("dec", source="decision_id", default=None)
    consumed_by = TypeIDField("dec", default=None)
    requested_by = serializers.CharField(source="requested_by.username", default=None)
    team = serializers.CharField(source="team.name", default=None, allow_null=True)

    class Meta:
        model = ApprovalRequest
        fields: tuple[str, ...] = (
            *("id", "url", "kind", "title", "state", "instance", "action", "digest", "risk", "reasons"),
            *(
                "policy_digest",
                "decision",
                "requested_by",
                "roles",
                "team",
                "quorum",
                "created_at",
                "expires_at",
            ),
            *("escalates_at", "escalates_to", "decided_at", "closed_at", "consumed_by"),
        )

    def get_state(self, row: ApprovalRequest) -> str:
        return true_state(row)


class ApprovalDetailOut(ApprovalOut):
    """With who decided what."""

    decisions = ApprovalDecisionOut(many=True)

    class Meta(ApprovalOut.Meta):
        fields: tuple[str, ...] = (*ApprovalOut.Meta.fields, "decisions")


class DecideApprovalIn(StrictSerializer):
    approve = serializers.BooleanField()
    reason = serializers.CharField(max_length=500)
    digest = serializers.CharField(max_length=71, help_text="The digest of the request that you looked at.")
