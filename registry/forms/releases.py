"""Forms of releases: a plan, a start, an exception, a rollback."""

from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from arm.forms import MomentInput
from arm.models import User
from arm.permissions import visible
from arm.rights import Right

from .. import facts, gates
from ..engine import Drain, Strategy
from ..models import AgentVersion, DeploymentSlot, Rollout
from . import ReasonForm, TypeIDField
from .base import Acknowledging

WORDS = {
    "errors": "Calls that fail",
    "incidents": "Open incidents",
    "cost": "What a call costs",
    "evaluation": "Mandatory suites",
}


def _version(help_text: str) -> TypeIDField:
    rows = AgentVersion.objects.select_related("template", "genome")
    return TypeIDField("ver", rows, Right.READ_DIRECTORY, help_text=help_text)


class VersionNamed(ReasonForm):
    """A form that names a version by its identifier."""

    def clean_version(self) -> AgentVersion:
        field: Any = self.fields["version"]
        found: AgentVersion = field.found(self.cleaned_data["version"], self.actor)
        return found


class DrainForm(ReasonForm):
    """When what runs the version left drains."""

    drain = forms.ChoiceField(
        choices=Drain.choices, initial=Drain.REPLACED, required=False, widget=forms.RadioSelect,
        label="What is left drains",
        help_text="At once where it does harm: the slot may have nobody at work until those that come are activated.",
    )  # fmt: skip
    within = forms.IntegerField(
        min_value=1, max_value=24 * 60, required=False, label="Minutes at most",
        help_text="What is not replaced by then drains anyway, and an incident says so. 30 unless you say otherwise.",
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        minutes = cleaned.get("within")
        cleaned["drain"] = cleaned.get("drain") or Drain.REPLACED
        kept = cleaned["drain"] != Drain.AT_ONCE
        cleaned["within"] = timedelta(minutes=minutes) if minutes and kept else None
        return cleaned


class PlanRolloutForm(DrainForm, VersionNamed):
    """`slots` are the slots of one role in one environment, as the page offers them."""

    slots = forms.ModelMultipleChoiceField(
        DeploymentSlot.objects.none(), widget=forms.CheckboxSelectMultiple, help_text="Where it goes."
    )
    version = _version("Identifier (ver_…) of the version that comes.")
    strategy = forms.ChoiceField(choices=Strategy.choices, initial=Strategy.CANARY)
    percents = forms.CharField(
        required=False, initial="5, 25, 50, 100", label="Shares of a canary",
        help_text="Percent of each step, smallest first, the last one 100.",
    )  # fmt: skip
    batch_size = forms.IntegerField(
        min_value=1, max_value=500, initial=1, required=False, label="Slots a batch",
        help_text="Of a phased rollout.",
    )  # fmt: skip
    bake = forms.IntegerField(
        min_value=0, max_value=14 * 24 * 60, initial=10, label="Bake time",
        help_text="Minutes that each step is watched before the next one.",
    )  # fmt: skip
    health_gates = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label="Health gates",
        help_text="Whose word each step needs. Without any, a person confirms each step.",
    )  # fmt: skip
    reaction = forms.ChoiceField(choices=Rollout.Reaction.choices, label="When it is unhealthy")

    def __init__(self, *args: Any, around: DeploymentSlot, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, actor=actor, **kwargs)
        rows = DeploymentSlot.objects.filter(environment=around.environment_id, role=around.role_id)
        seen = visible(rows.select_related("environment", "role", "provider"), actor, Right.READ_DIRECTORY)
        self.fields["slots"].queryset = seen  # type: ignore[attr-defined]
        known = facts.health_gates()
        self.fields["health_gates"].choices = [(name, WORDS.get(name, name)) for name in known]  # type: ignore[attr-defined]

    def clean_percents(self) -> list[int]:
        parts = str(self.cleaned_data["percents"]).replace("%", "").replace(",", " ").split()
        try:
            return [int(part) for part in parts]
        except ValueError:
            raise ValidationError("Whole numbers, separated by commas: 5, 25, 50, 100.") from None

    def clean_batch_size(self) -> int:
        return int(self.cleaned_data["batch_size"] or 1)

    def clean_bake(self) -> timedelta:
        return timedelta(minutes=self.cleaned_data["bake"])


class StartRolloutForm(Acknowledging):
    """It starts, whatever differs for callers and tools."""


class ExceptionForm(VersionNamed):
    version = _version("Identifier (ver_…) of the version that may pass.")
    gate = forms.ChoiceField(
        choices=[(name, name.capitalize()) for name in gates.EXCEPTED], label="Passes without"
    )
    until = forms.DateTimeField(widget=MomentInput, help_text="UTC; at most 14 days from now.")


class AbortForm(ReasonForm):
    drain = forms.ChoiceField(
        choices=[("", "As the rollout does it; at once where it is unhealthy"), *Drain.choices], required=False,
        label="Instances of the new version drain",
    )  # fmt: skip


class RollBackForm(DrainForm):
    """`also`: other slots that are bound to the version left."""

    leaving = forms.CharField(widget=forms.HiddenInput)
    also = forms.ModelMultipleChoiceField(
        DeploymentSlot.objects.none(), required=False, widget=forms.CheckboxSelectMultiple,
        label="Roll these back as well", help_text="They are bound to the same version. Those left out keep it.",
    )  # fmt: skip

    def __init__(self, *args: Any, others: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = DeploymentSlot.objects.filter(
            pk__in=[slot.pk for slot in others], previous_version__isnull=False
        )
        self.fields["also"].queryset = rows.select_related("environment", "role")  # type: ignore[attr-defined]
        if not rows:
            del self.fields["also"]
