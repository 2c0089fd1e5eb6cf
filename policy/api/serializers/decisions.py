"""How recorded answers and answers of the simulator look."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from arm.api import StrictSerializer, TypeIDField
from policy.models import Decision
from policy.queries.decisions import stored_reasons
from policy.queries.simulation import ToolAnswer

from .base import Out
from .policies import PolicyVersionOut


class DecisionOut(Out):
    """A recorded answer. The arguments are not kept, only the digest of the action."""

    noun = "decisions"
    id = TypeIDField("dec", source="pk")
    instance = TypeIDField("ins", source="instance_id")
    version = TypeIDField("ver", source="version_id")
    approval = TypeIDField("apr", source="approval_id", default=None)
    action = serializers.CharField(source="get_action_display")
    risk = serializers.CharField(source="get_risk_display")
    decision = serializers.CharField(source="get_decision_display")
    would = serializers.CharField(source="get_would_display")
    reasons = serializers.SerializerMethodField()
    action_digest = serializers.SerializerMethodField()
    policy_digest = serializers.SerializerMethodField()
    verdict_digest = serializers.SerializerMethodField()

    class Meta:
        model = Decision
        fields: tuple[str, ...] = (
            *("id", "url", "at", "instance", "version", "action", "tool", "risk", "decision", "would"),
            *("reasons", "obligations", "approval", "job", "outcome", "run", "age_ms", "request_id"),
            *("action_digest", "policy_digest", "verdict_digest"),
        )

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_reasons(self, row: Decision) -> Any:
        return stored_reasons(row.reasons)

    def get_action_digest(self, row: Decision) -> str:
        return _digest(row.action_digest)

    def get_policy_digest(self, row: Decision) -> str:
        return _digest(row.policy_digest)

    def get_verdict_digest(self, row: Decision) -> str:
        return _digest(row.verdict_digest)


def _digest(value: Any) -> str:
    return f"sha256:{bytes(value).hex()}"


class SimulateIn(StrictSerializer):
    """`subject` is ver_… or ins_…. With `tool` one call is asked about, else every tool of its manifest."""

    subject = serializers.CharField(max_length=60)
    environment = serializers.SlugField(default="", allow_blank=True)
    policy_version = TypeIDField("pov", default=None)
    alone = serializers.BooleanField(default=False)
    catalogue = serializers.BooleanField(default=False)
    tool = serializers.CharField(max_length=128, default="", allow_blank=True)
    args = serializers.DictField(default=dict)


class AnswerOut(serializers.Serializer[ToolAnswer]):
    tool = serializers.CharField()
    declared = serializers.BooleanField()
    risk = serializers.CharField()
    decision = serializers.CharField()
    reasons = serializers.SerializerMethodField()
    obligations = serializers.ListField(child=serializers.CharField())

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_reasons(self, row: ToolAnswer) -> Any:
        return [{"code": each.code, "sentence": each.sentence, "rule": each.rule} for each in row.reasons]


class SimulationOut(serializers.Serializer[Any]):
    environment = serializers.CharField(source="environment.slug")
    policies = PolicyVersionOut(many=True)
    digest = serializers.CharField()
    tier = serializers.IntegerField()
    counts = serializers.DictField()
    answers = AnswerOut(many=True)
