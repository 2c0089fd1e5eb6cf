"""How stops and requests for them look, and what one may ask for."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from arm.api import StrictSerializer, TypeIDField
from policy.engine import ToolClass
from policy.lifecycle import ReasonCode, RestrictionState
from policy.models import (
    Posture,
    RestrictionDecision,
    RestrictionRequest,
)
from policy.queries import restricting
from policy.queries.restricting import Way

from .base import Out, shown


class PostureOut(Out):
    noun = "postures"
    id = TypeIDField("pos", source="pk")
    kind = serializers.CharField(source="target_kind")
    scope = serializers.SerializerMethodField()
    scope_name = serializers.CharField(source="target")
    in_force = serializers.BooleanField()
    set_by = serializers.CharField(source="set_by.username", default=None)
    lifted_by = serializers.CharField(source="lifted_by.username", default=None)
    request = TypeIDField("rsq", source="request_id", default=None)

    class Meta:
        model = Posture
        fields: tuple[str, ...] = (
            *("id", "url", "kind", "scope", "scope_name", "mode", "tool", "tool_class", "reason", "in_force"),
            *("set_by", "set_at", "until", "lifted_by", "lifted_at", "lift_reason", "reach", "request"),
        )

    def get_scope(self, row: Posture) -> str:
        return shown(row.target)


class RestrictionDecisionOut(serializers.ModelSerializer[RestrictionDecision]):
    person = serializers.CharField(source="person.username")

    class Meta:
        model = RestrictionDecision
        fields: tuple[str, ...] = ("person", "confirm", "reason", "at")


class RestrictionOut(Out):
    """`state` is true now: a request past its time is expired, whether or not that is written yet. `who_may` confirm
    it; `have` of `needs` people want it who may stop the scope."""

    noun = "restrictions"
    id = TypeIDField("rsq", source="pk")
    kind = serializers.CharField(source="target_kind")
    scope = serializers.SerializerMethodField()
    scope_name = serializers.CharField(source="target")
    state = serializers.ChoiceField(RestrictionState.choices, source="true_state")
    asked_by = serializers.CharField(source="asked_by.username")
    closed_by = serializers.CharField(source="closed_by.username", default=None)

    class Meta:
        model = RestrictionRequest
        fields: tuple[str, ...] = (
            *("id", "url", "kind", "scope", "scope_name", "mode", "tool", "tool_class", "until"),
            *("reason_code", "reason", "digest", "state", "asked_by", "asked_at", "expires_at"),
            *("closed_at", "closed_by"),
        )

    def get_scope(self, row: RestrictionRequest) -> str:
        return shown(row.target)


class RestrictionDetailOut(RestrictionOut):
    """With who answered what, who may still answer, and the stop that came of it."""

    decisions = RestrictionDecisionOut(many=True)
    needs = serializers.SerializerMethodField()
    have = serializers.SerializerMethodField()
    who_may = serializers.SerializerMethodField()
    posture = serializers.SerializerMethodField()

    class Meta(RestrictionOut.Meta):
        fields: tuple[str, ...] = (
            *RestrictionOut.Meta.fields,
            *("decisions", "needs", "have", "who_may", "posture"),
        )

    def get_needs(self, row: RestrictionRequest) -> int:
        return restricting.needed(restricting.scope_of(row))

    def get_have(self, row: RestrictionRequest) -> int:
        return len(restricting.triggers(row))

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_who_may(self, row: RestrictionRequest) -> list[str]:
        if row.true_state != RestrictionState.REQUESTED:
            return []
        parties = {row.asked_by_id, *row.decisions.values_list("person_id", flat=True)}
        return list(restricting.who_may_stop(restricting.scope_of(row), without=parties))

    @extend_schema_field(TypeIDField("pos", allow_null=True))
    def get_posture(self, row: RestrictionRequest) -> str | None:
        posture = Posture.objects.filter(request=row).first()
        return posture.typeid if posture else None


class ConfirmRestrictionIn(StrictSerializer):
    digest = serializers.CharField(max_length=71, help_text="The digest of the request that you looked at.")
    reason = serializers.CharField(max_length=500, default="", allow_blank=True)


class PreviewIn(StrictSerializer):
    scope = serializers.CharField(
        max_length=60, help_text="ten_…, env_…, prov_…, rol_…, tpl_…, slt_…, ver_…, ins_…"
    )
    mode = serializers.ChoiceField(Posture.MODES)
    tool = serializers.CharField(max_length=128, default="", allow_blank=True)
    tool_class = serializers.ChoiceField(
        [("", ""), *((each.value, each.value) for each in ToolClass)], default=""
    )


class SetPostureIn(PreviewIn):
    reason = serializers.CharField(max_length=500)
    until = serializers.DateTimeField(default=None, allow_null=True)


class RestrictionIn(PreviewIn):
    reason_code = serializers.ChoiceField(ReasonCode.choices)
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
    """What a stop would reach and deny; nothing is stored. `way`: whether the caller may set it at once, is the first
    of two, may ask, or none of these; `who_may` set or confirm it otherwise."""

    scope = serializers.CharField()
    mode = serializers.CharField()
    numbers = serializers.DictField()
    places = PlaceOut(many=True)
    columns = AllowanceOut(many=True)
    ends = serializers.CharField()
    irreversible = serializers.CharField()
    way = serializers.ChoiceField([(way.value, way.value) for way in Way])
    who_may = serializers.ListField(child=serializers.CharField())
