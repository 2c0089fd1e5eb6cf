"""How rows of policy look in answers, and what requests may say."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from arm import ids
from arm.api import StrictSerializer, TypeIDField
from arm.models import Tenant, TenantRow
from policy.engine import Mode, ToolClass
from policy.engine.wording import sections
from policy.models import (
    ApprovalDecision,
    ApprovalRequest,
    Binding,
    Decision,
    Policy,
    PolicyVersion,
    Posture,
    ToolRisk,
)
from policy.queries.approvals import true_state
from policy.queries.decisions import stored_reasons
from policy.queries.simulation import ToolAnswer

API = "/api/v1/policy"
_OBJECT = {"type": "object", "additionalProperties": True}


class Out(serializers.ModelSerializer[Any]):
    """Every representation has the row's identifier and its address."""

    noun = ""
    url = serializers.SerializerMethodField()

    def get_url(self, row: TenantRow) -> str:
        return f"{API}/{self.noun}/{row.typeid}/"


def shown(target: Any) -> str:
    """The identifier of what a binding or a posture is about."""
    return ids.encode(Tenant.prefix, target.pk) if isinstance(target, Tenant) else target.typeid


class ReasonIn(StrictSerializer):
    reason = serializers.CharField(max_length=500)


# --- approvals -----------------------------------------------------------------------------------------------


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

    class Meta:
        model = ApprovalRequest
        fields: tuple[str, ...] = (
            *("id", "url", "kind", "title", "state", "instance", "action", "digest", "risk", "reasons"),
            *("policy_digest", "decision", "requested_by", "roles", "quorum", "created_at", "expires_at"),
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


# --- stops ---------------------------------------------------------------------------------------------------


class PostureOut(Out):
    noun = "postures"
    id = TypeIDField("pos", source="pk")
    kind = serializers.CharField(source="target_kind")
    scope = serializers.SerializerMethodField()
    scope_name = serializers.CharField(source="target")
    in_force = serializers.BooleanField()
    set_by = serializers.CharField(source="set_by.username", default=None)
    lifted_by = serializers.CharField(source="lifted_by.username", default=None)

    class Meta:
        model = Posture
        fields: tuple[str, ...] = (
            *("id", "url", "kind", "scope", "scope_name", "mode", "tool", "tool_class", "reason", "in_force"),
            *("set_by", "set_at", "until", "lifted_by", "lifted_at", "lift_reason", "reach"),
        )

    def get_scope(self, row: Posture) -> str:
        return shown(row.target)


class PreviewIn(StrictSerializer):
    scope = serializers.CharField(
        max_length=60, help_text="ten_…, env_…, prov_…, rol_…, tpl_…, slt_…, ver_…, ins_…"
    )
    mode = serializers.ChoiceField([(mode.value, mode.value) for mode in Mode if mode != Mode.NORMAL])
    tool = serializers.CharField(max_length=128, default="", allow_blank=True)
    tool_class = serializers.ChoiceField(
        [("", ""), *((each.value, each.value) for each in ToolClass)], default=""
    )


class SetPostureIn(PreviewIn):
    reason = serializers.CharField(max_length=500)
    until = serializers.DateTimeField(default=None, allow_null=True)


class PlaceOut(serializers.Serializer[Any]):
    environment = serializers.CharField()
    production = serializers.BooleanField()
    provider = serializers.CharField()
    agents = serializers.IntegerField()
    active = serializers.IntegerField()


class AllowanceOut(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]
    allowed = serializers.BooleanField()


class PreviewOut(serializers.Serializer[Any]):
    """What a stop would reach and deny; nothing is stored."""

    scope = serializers.CharField()
    mode = serializers.CharField()
    numbers = serializers.DictField()
    places = PlaceOut(many=True)
    columns = AllowanceOut(many=True)
    ends = serializers.CharField()
    irreversible = serializers.CharField()


# --- policies ------------------------------------------------------------------------------------------------


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

    @extend_schema_field(_OBJECT)
    def get_content(self, row: PolicyVersion) -> dict[str, Any]:
        return row.document

    @extend_schema_field(_OBJECT)
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
    created_by = serializers.CharField(source="created_by.username", default=None)

    class Meta:
        model = ToolRisk
        fields: tuple[str, ...] = (
            *("id", "url", "tool", "risk", "tool_class", "ceiling", "note", "created_by", "since", "until"),
        )


class ToolRiskIn(StrictSerializer):
    tool = serializers.CharField(max_length=128)
    risk = serializers.ChoiceField(["", *(value for value, _ in ToolRisk.RISKS)], default="")
    tool_class = serializers.ChoiceField(["", *(each.value for each in ToolClass)], default="")
    ceiling = serializers.IntegerField(min_value=0, max_value=5, default=None, allow_null=True)
    note = serializers.CharField(max_length=500)


# --- decisions -----------------------------------------------------------------------------------------------


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


# --- simulator -----------------------------------------------------------------------------------------------


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
