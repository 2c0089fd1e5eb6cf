"""The form that changes an environment."""

from collections.abc import Sequence
from typing import Any

from django import forms

from arm.rights import Risk

from ..models import Environment
from .base import ReasonForm

MEMBERS = ("name", "production", "risk_default", "retention_days", "aggregate_days")


class EnvironmentEditForm(ReasonForm):
    """`seen`: the place, the order and the rules that were shown as a preview; `opened`: what the editor began with."""

    name = forms.CharField(max_length=120)
    position = forms.TypedChoiceField(
        coerce=int, label="Place in the channel order", help_text="Versions climb from 1 on."
    )
    production = forms.BooleanField(required=False, help_text="Takes approved versions only.")
    risk_default = forms.ChoiceField(choices=Risk, label="Risk by default")
    retention_days = forms.IntegerField(min_value=1, max_value=3650, label="Days of raw telemetry")
    aggregate_days = forms.IntegerField(min_value=1, max_value=3650, label="Days of telemetry summed up")
    cost_tags = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3}), help_text="One a line, as name=value."
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    opened = forms.JSONField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, places: Sequence[str], movable: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(str(n), f"{n} (now {one})") for n, one in enumerate(places, 1)]
        self.fields["position"].choices = choices  # type: ignore[attr-defined]
        if not movable:
            del self.fields["position"]

    @staticmethod
    def initial_of(environment: Environment) -> dict[str, Any]:
        tags = "\n".join(f"{name}={value}" for name, value in environment.cost_tags.items())
        return {name: getattr(environment, name) for name in MEMBERS} | {"cost_tags": tags}

    def clean_risk_default(self) -> Risk:
        return Risk(self.cleaned_data["risk_default"])

    def clean_cost_tags(self) -> dict[str, str]:
        lines = [line.strip() for line in self.cleaned_data["cost_tags"].splitlines() if line.strip()]
        pairs = [line.partition("=") for line in lines]
        if any(not name.strip() or not equals for name, equals, _ in pairs):
            raise forms.ValidationError("Each line is a name, an equals sign and a value: team=support.")
        return {name.strip(): value.strip() for name, _, value in pairs}

    def clean_opened(self) -> dict[str, Any] | None:
        opened = self.cleaned_data["opened"]
        if opened is not None and not isinstance(opened, dict):
            raise forms.ValidationError("The page was not sent as it was shown; open it again.")
        return opened
