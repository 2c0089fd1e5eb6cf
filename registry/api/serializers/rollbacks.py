"""Rollbacks as the API previews and takes them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework import serializers

from arm import ids
from arm.api import StrictSerializer, TypeIDField
from registry import queries
from registry.api.serializers.rollouts import HandsOverIn
from registry.engine import Drain


class Targets(serializers.DictField):
    """Slot: the version that it goes to."""

    child = TypeIDField("ver")

    def run_child_validation(self, data: Mapping[str, Any]) -> dict[UUID, UUID]:  # type: ignore[override]
        found: dict[UUID, UUID] = {}
        wrong: dict[str, Any] = {}
        for key, value in data.items():
            try:
                found[ids.decode("slt", key)] = self.child.run_validation(value)
            except ValueError as reason:
                wrong[key] = [str(reason)]
            except serializers.ValidationError as reason:
                wrong[key] = reason.detail
        if wrong:
            raise serializers.ValidationError(wrong)
        return found

    def to_representation(self, value: Mapping[UUID, UUID]) -> dict[str, str]:
        return {ids.encode("slt", slot): ids.encode("ver", to) for slot, to in value.items()}


class RollBackIn(HandsOverIn):
    leaving = TypeIDField(
        "ver", help_text="The version that is bound now, so that nothing newer is rolled back."
    )
    incident = TypeIDField("inc", required=False)
    also = serializers.ListField(child=TypeIDField("slt"), required=False, max_length=100)
    targets = Targets(
        required=False,
        help_text="What the preview showed (`targets`): 409 where it is otherwise by now. With `also`, of all of them.",
    )
    drain = serializers.ChoiceField(
        Drain.choices, required=False, help_text="`at_once` by default where an incident is named."
    )

    def usual(self, said: dict[str, Any]) -> str:
        return Drain.AT_ONCE if "incident" in said else Drain.REPLACED


class StandingInOut(serializers.Serializer[Any]):
    """Who stands in for those that leave."""

    provisioned = serializers.IntegerField(help_text="How many are provisioned.")
    there = serializers.IntegerField(help_text="How many have somebody in their place already.")

    def get_fields(self) -> dict[str, Any]:
        own = serializers.ListField(
            child=serializers.CharField(), help_text="The instances in whose place one is provisioned."
        )
        return {**super().get_fields(), "for": own}


class CountedOut(serializers.Serializer[Any]):
    """What becomes of the instances of a version that a slot leaves."""

    slot = serializers.CharField()
    drained = serializers.IntegerField(help_text="They drain at once.")
    working_on = serializers.IntegerField(help_text="They work on until they are replaced.")
    withdrawn = serializers.IntegerField(help_text="They had not begun.")
    left = serializers.IntegerField(help_text="Stopped (paused, quarantined …): they stay so.")
    provisioned = serializers.IntegerField()


class CanaryEndsOut(CountedOut):
    version = serializers.CharField()
    share = serializers.IntegerField()
    stays = serializers.IntegerField(help_text="At work still: the slot goes back to the canary's version.")


class SlotReturnsOut(CountedOut):
    to = serializers.CharField(help_text="The version it had.")
    taken_back = serializers.ListField(child=serializers.CharField())


class RolloutEndsOut(serializers.Serializer[Any]):
    rollout = serializers.CharField()
    version = serializers.CharField()
    was = serializers.CharField(help_text="Its state until then.")
    slots = SlotReturnsOut(many=True, help_text="Its other slots, which return to what they had.")
    keeps = serializers.ListField(
        child=serializers.CharField(), help_text="Its slots that were empty before, and keep its version."
    )


class PreviewAsked(StrictSerializer):
    drain = serializers.ChoiceField(Drain.choices, required=False, help_text="`replaced` unless it says so.")
    also = serializers.ListField(
        child=TypeIDField("slt"), required=False, max_length=100, help_text="Slots that go back with it."
    )


class RollbackPreviewOut(serializers.Serializer[Any]):
    """What a rollback would do, in numbers."""

    slot = TypeIDField("slt", source="slot.pk")
    leaving = TypeIDField("ver", source="leaving.pk")
    target = TypeIDField("ver", source="target.pk")
    drains = serializers.IntegerField()
    withdrawn = serializers.IntegerField()
    left = serializers.IntegerField()
    provisioned = serializers.IntegerField()
    targets = Targets(
        help_text="Every slot that it binds to another version, and to which; `roll-back/` takes it as what was seen."
    )
    others = serializers.SerializerMethodField()
    others_hidden = serializers.IntegerField()
    rollouts_elsewhere = serializers.IntegerField()
    missing = serializers.SerializerMethodField(help_text="What refuses it.")
    warnings = serializers.SerializerMethodField(
        help_text="What a binding would ask and the target lacks by now; it is done nonetheless."
    )
    carried = serializers.ListField(
        child=serializers.CharField(),
        help_text="What holds for single instances (caps, policies) and will for their replacements.",
    )
    carried_hidden = serializers.IntegerField(help_text="More of it, which you may not see.")
    standing_in = StandingInOut()
    canaries = CanaryEndsOut(
        many=True, help_text="Those that end: of this slot, and of others of the rollout that holds it."
    )
    taken_back = serializers.ListField(
        child=serializers.CharField(),
        help_text="Instances of the version it goes back to that are there already, and stay.",
    )
    rollout = RolloutEndsOut(source="ended", allow_null=True, help_text="The rollout that is aborted by it.")
    rollout_slots_hidden = serializers.IntegerField(
        help_text="More of the slots in `canaries` and `rollout`, which you may not see."
    )

    def get_others(self, preview: queries.RollbackPreview) -> list[str]:
        return [one.slot.typeid for one in preview.others]

    def get_missing(self, preview: queries.RollbackPreview) -> list[str]:
        return [verdict.reason for verdict in preview.missing]

    def get_warnings(self, preview: queries.RollbackPreview) -> list[str]:
        return [verdict.reason for verdict in preview.warnings]
