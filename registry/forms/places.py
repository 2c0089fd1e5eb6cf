"""Forms of environments, providers and slots."""

from typing import Any

from django import forms

from arm.permissions import visible
from arm.rights import Right, Risk

from ..models import AgentVersion, Environment, Provider, RoleDefinition
from .base import Acknowledging, ReasonForm, SeenForm, TypeIDField


class BindSlotForm(Acknowledging, SeenForm):
    version = TypeIDField(
        "ver",
        AgentVersion.objects.select_related("template", "genome"),
        Right.READ_DIRECTORY,
        help_text="Identifier (ver_…) of the version that works here from now on.",
    )

    def clean_version(self) -> AgentVersion:
        field: Any = self.fields["version"]
        found: AgentVersion = field.found(self.cleaned_data["version"], self.actor)
        return found


class SlotForm(ReasonForm):
    environment = forms.ModelChoiceField(Environment.objects.none(), to_field_name="slug")
    role = forms.ModelChoiceField(RoleDefinition.objects.none(), to_field_name="slug")
    provider = forms.ModelChoiceField(Provider.objects.none(), to_field_name="slug")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, rows in (
            ("environment", Environment.objects.order_by("position")),
            ("provider", Provider.objects.order_by("slug")),
            ("role", RoleDefinition.objects.order_by("slug")),
        ):
            self.fields[name].queryset = visible(rows, self.actor, Right.READ_DIRECTORY)  # type: ignore[attr-defined]


class EnvironmentForm(ReasonForm):
    name = forms.CharField(max_length=120)
    slug = forms.SlugField(max_length=40)
    production = forms.BooleanField(required=False, help_text="Takes approved versions only.")
    risk_default = forms.ChoiceField(choices=Risk, initial=Risk.MEDIUM)
    retention_days = forms.IntegerField(
        min_value=1, max_value=3650, initial=90, label="Days of raw telemetry"
    )

    def clean_risk_default(self) -> Risk:
        return Risk(self.cleaned_data["risk_default"])


class ProviderForm(ReasonForm):
    name = forms.CharField(max_length=160)
    slug = forms.SlugField(max_length=60)
    kind = forms.ChoiceField(
        choices=Provider.Kind.choices,
        initial=Provider.Kind.LOCAL,
        required=False,
        help_text="Federated: an adapter of somebody else's tells ARM what runs there, and proves that it obeys.",
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    heartbeat_seconds = forms.IntegerField(
        min_value=5, max_value=86_400, initial=60, help_text="An instance that is silent for longer is stale."
    )

    def clean_kind(self) -> Provider.Kind:
        return Provider.Kind(self.cleaned_data["kind"] or Provider.Kind.LOCAL)
