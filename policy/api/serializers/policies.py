"""How policies, bindings and classes of tools look, and what one may write."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from arm.api import StrictSerializer, TypeIDField
from policy.engine import ToolClass
from policy.engine.wording import sections
from policy.models import (
    Binding,
    Policy,
    PolicyVersion,
    ToolRisk,
)

from .base import OBJECT, Out, shown


class PolicyVersionOut(Out):
    noun = "versions"
    id = TypeIDField("pov", source="pk")
    policy = TypeIDField("pol", source="policy_id")
    created_by = serializers.CharField(source="created_by.username", default=None)
    activated_by = serializers.CharField(source="activated_by.username", default=None)

    class Meta:
        model = PolicyVersion
        fields: tuple[str, ...] = (
            *("id", "url", "policy", "number", "state", "digest", "tier", "note", "created_by", "created_at"),
            *("activated_by", "activated_at", "ended_at"),
        )


class PolicyVersionDetailOut(PolicyVersionOut):
    """With the document, and what it says."""

    content = serializers.SerializerMethodField()
    words = serializers.SerializerMethodField()

    class Meta(PolicyVersionOut.Meta):
        fields: tuple[str, ...] = (*PolicyVersionOut.Meta.fields, "content", "words")

    @extend_schema_field(OBJECT)
    def get_content(self, row: PolicyVersion) -> dict[str, Any]:
        return row.document

    @extend_schema_field(OBJECT)
    def get_words(self, row: PolicyVersion) -> dict[str, list[str]]:
        return {part.title: [line.sentence for line in part.lines] for part in sections(row.document)}


class PolicyOut(Out):
    noun = "policies"
    id = TypeIDField("pol", source="pk")
    created_by = serializers.CharField(source="created_by.username", default=None)
    active = serializers.SerializerMethodField()

    class Meta:
        model = Policy
        fields: tuple[str, ...] = (
            "id",
            "url",
            "slug",
            "name",
            "purpose",
            "created_by",
            "created_at",
            "active",
        )

    @extend_schema_field(PolicyVersionOut(allow_null=True))
    def get_active(self, row: Any) -> Any:
        return PolicyVersionOut(row.in_force[0]).data if row.in_force else None


class DraftIn(StrictSerializer):
    content = serializers.JSONField(help_text="A policy document, arm.policy/v1.")
    note = serializers.CharField(max_length=500)


class PolicyIn(StrictSerializer):
    slug = serializers.SlugField(max_length=80)
    name = serializers.CharField(max_length=160)
    purpose = serializers.CharField(default="", allow_blank=True)
    content = serializers.JSONField(help_text="A policy document, arm.policy/v1.")
    reason = serializers.CharField(max_length=500)


class DifferenceOut(serializers.Serializer[Any]):
    section = serializers.CharField()
    added = serializers.BooleanField()
    pointer = serializers.CharField(source="line.pointer")
    sentence = serializers.CharField(source="line.sentence")


class BindingOut(Out):
    noun = "bindings"
    id = TypeIDField("bnd", source="pk")
    policy = TypeIDField("pol", source="policy_id")
    kind = serializers.CharField(source="target_kind")
    target = serializers.SerializerMethodField()
    target_name = serializers.CharField(source="target")
    bound_by = serializers.CharField(source="bound_by.username", default=None)
    ended_by = serializers.CharField(source="ended_by.username", default=None)

    class Meta:
        model = Binding
        fields: tuple[str, ...] = (
            *(
                "id",
                "url",
                "policy",
                "kind",
                "target",
                "target_name",
                "since",
                "until",
                "bound_by",
                "ended_by",
            ),
            "reason",
        )

    def get_target(self, row: Binding) -> str:
        return shown(row.target)


class BindingIn(StrictSerializer):
    policy = TypeIDField("pol")
    target = serializers.CharField(max_length=60, help_text="ten_…, env_…, rol_…, tpl_…, ver_…, slt_…, ins_…")
    reason = serializers.CharField(max_length=500)


class ToolRiskOut(Out):
    noun = "tools"
    id = TypeIDField("trk", source="pk")
    environment = serializers.CharField(source="environment.slug", default=None, allow_null=True)
    created_by = serializers.CharField(source="created_by.username", default=None)

    class Meta:
        model = ToolRisk
        fields: tuple[str, ...] = (
            *("id", "url", "tool", "environment", "risk", "tool_class", "ceiling", "note"),
            *("created_by", "since", "until"),
        )


class ToolRiskIn(StrictSerializer):
    tool = serializers.CharField(max_length=128)
    environment = TypeIDField(
        "env", default=None, allow_null=True, help_text="Where it counts; null: everywhere."
    )
    risk = serializers.ChoiceField(["", *(value for value, _ in ToolRisk.RISKS)], default="")
    tool_class = serializers.ChoiceField(["", *(each.value for each in ToolClass)], default="")
    ceiling = serializers.IntegerField(min_value=0, max_value=5, default=None, allow_null=True)
    note = serializers.CharField(max_length=500)
