"""Rollouts as the API shows and takes them."""

from typing import Any

from rest_framework import serializers

from arm.api import StrictSerializer, TypeIDField
from registry.api.serializers import Out, Reasoned
from registry.engine import BAKE_AT_MOST, Drain, Strategy
from registry.models import Rollout, RolloutSlot, RolloutStep


class WantOut(serializers.Serializer[Any]):
    """One thing that a step waits for: `bake`, a health gate, or `manual`, a person's yes. `met` null: nobody knows yet;
    false: it speaks against the step."""

    gate = serializers.CharField()
    met = serializers.BooleanField(allow_null=True)
    said = serializers.CharField()


class StepRow(serializers.ModelSerializer[RolloutStep]):
    gates = serializers.ListField(child=serializers.CharField(), help_text="Whose word it needs.")
    limits = serializers.DictField(child=serializers.FloatField(), help_text="By gate.")
    waits_for = WantOut(
        many=True, help_text="What it waits for before the next step, and what of that it has."
    )

    class Meta:
        model = RolloutStep
        fields = (
            *(
                "number",
                "percent",
                "batch",
                "bake_seconds",
                "gates",
                "limits",
                "state",
                "started_at",
                "due_at",
            ),
            *("ended_at", "health", "facts", "judged_at", "confirmed_by", "waits_for"),
        )


class SlotRow(serializers.ModelSerializer[RolloutSlot]):
    slot = TypeIDField("slt", source="slot_id")
    from_version = TypeIDField("ver", source="from_version_id", allow_null=True)

    class Meta:
        model = RolloutSlot
        fields = ("slot", "batch", "from_version", "held", "bound_at")


class RolloutOut(Out):
    noun = "rollouts"
    id = TypeIDField("rlt", source="pk")
    environment = serializers.CharField(source="environment.slug")
    role = serializers.CharField(source="role.slug")
    version = TypeIDField("ver", source="version_id")
    incident = TypeIDField("inc", source="incident_id", allow_null=True)
    steps = StepRow(many=True)
    slots = SlotRow(many=True)

    class Meta:
        model = Rollout
        fields = (
            *("id", "url", "environment", "role", "version", "strategy", "state", "state_since", "said"),
            *(
                "waits_for_person",
                "gates",
                "limits",
                "reaction",
                "handover_seconds",
                "acknowledged",
                "drift",
                "incident",
            ),
            *("reason", "created_at", "steps", "slots"),
        )


class RolloutRow(RolloutOut):
    """A rollout in a list, with how many steps and slots it has. They are in its own representation: up to 500 each."""

    steps = None  # type: ignore[assignment]
    slots = None  # type: ignore[assignment]
    step = serializers.IntegerField(
        allow_null=True, help_text="Number of the step that began last; null before the first has."
    )
    step_count = serializers.IntegerField()
    slot_count = serializers.IntegerField()

    class Meta(RolloutOut.Meta):
        fields = (  # type: ignore[assignment]
            *(name for name in RolloutOut.Meta.fields if name not in {"steps", "slots"}),
            *("step", "step_count", "slot_count"),
        )


class HandsOverIn(Reasoned):
    """An act after which instances of a slot drain."""

    drain = serializers.ChoiceField(Drain.choices, required=False)
    within_seconds = serializers.IntegerField(
        min_value=60,
        max_value=86_400,
        required=False,
        help_text="How long what is left works on at most until it is replaced.",
    )

    def usual(self, said: dict[str, Any]) -> str:
        """When they drain where the request does not say."""
        return Drain.REPLACED

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("drain", self.usual(attrs)) == Drain.AT_ONCE and "within_seconds" in attrs:
            message = "What drains at once is given no time."
            raise serializers.ValidationError({"within_seconds": message}, code="unused")
        return attrs


class StepIn(StrictSerializer):
    """What is said of one step alone; what is left out is as the rollout has it."""

    bake_seconds = serializers.IntegerField(
        min_value=0, max_value=int(BAKE_AT_MOST.total_seconds()), required=False
    )
    health_gates = serializers.ListField(
        child=serializers.CharField(max_length=40),
        required=False,
        max_length=20,
        help_text="Whose word a step needs. `manual`, or none at all: a person confirms it.",
    )
    limits = serializers.DictField(
        child=serializers.FloatField(),
        required=False,
        help_text="By gate; of a single step, for gates that it asks.",
    )


class PlanIn(StepIn, HandsOverIn):
    """What it says of steps holds for all that `steps` says nothing else of."""

    slots = serializers.ListField(child=TypeIDField("slt"), min_length=1, max_length=500)
    version = TypeIDField("ver")
    strategy = serializers.ChoiceField(Strategy.choices)
    percents = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=100), required=False, max_length=100
    )
    batch_size = serializers.IntegerField(min_value=1, max_value=500, required=False)
    steps = serializers.ListField(
        child=StepIn(),
        required=False,
        max_length=500,
        help_text="What single steps wait for instead, the first one first; those left out are as the rollout has it.",
    )
    reaction = serializers.ChoiceField(Rollout.Reaction.choices, required=False)
    acknowledged = serializers.CharField(max_length=2000, required=False, allow_blank=True)


class StartIn(Reasoned):
    acknowledged = serializers.CharField(max_length=2000, required=False, allow_blank=True)


class MoveRolloutIn(Reasoned):
    """Pause, resume: all it takes is why."""


class ConfirmIn(Reasoned):
    """A yes to one step. 409 where another one waits by now, with its number as `step`."""

    step = serializers.IntegerField(
        min_value=1, max_value=500, help_text="The number of the step that was looked at."
    )


class AbortIn(Reasoned):
    drain = serializers.ChoiceField(
        Drain.choices, required=False, help_text="When instances of the new version drain; as it rolls out."
    )
