"""Forms that parse and validate; services write."""

from typing import Any

from django import forms

from arm.moments import MomentField
from arm.permissions import visible
from arm.rights import Right
from registry.forms import FileForm, ReasonForm, TypeIDField
from registry.models import AgentTemplate, AgentVersion

from .models import CertificationType, Suite
from .queries import suites_for


class SuiteVersionForm(FileForm):
    """The document of a suite: a file, or its text."""

    file = forms.FileField(required=False, help_text="JSON or YAML, at most 1 MiB.")
    text = forms.CharField(
        required=False,
        label="Or its text",
        widget=forms.Textarea(attrs={"rows": 22, "spellcheck": "false", "class": "code"}),
    )


class SuiteForm(SuiteVersionForm):
    name = forms.CharField(max_length=200)
    slug = forms.SlugField(max_length=80, help_text="Short name for addresses and files; it does not change.")
    purpose = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    field_order = ["name", "slug", "purpose", "file", "text"]


class SuiteChoice(ReasonForm):
    """A form with a suite that the person may see."""

    suite = forms.ModelChoiceField(Suite.objects.none(), to_field_name="slug")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["suite"]
        field.queryset = suites_for(self.actor).order_by("name")


class AssignForm(SuiteChoice):
    template = TypeIDField(
        "tpl",
        AgentTemplate.objects.all(),
        Right.READ_DIRECTORY,
        label="Agent",
        help_text="Identifier (tpl_…) of the agent whose versions are asked.",
    )
    mandatory = forms.BooleanField(
        required=False,
        initial=True,
        help_text="No version becomes a candidate before it has passed. Optional suites are shown only, but a failed "
        "safety case blocks all the same.",
    )

    def clean_template(self) -> AgentTemplate:
        field: Any = self.fields["template"]
        found: AgentTemplate = field.found(self.cleaned_data["template"], self.actor)
        return found


class StartRunForm(SuiteChoice):
    version = TypeIDField(
        "ver",
        AgentVersion.objects.select_related("template", "genome"),
        Right.READ_DIRECTORY,
        help_text="Identifier (ver_…) of the version that is asked.",
    )
    suite = forms.ModelChoiceField(
        Suite.objects.none(),
        to_field_name="slug",
        required=False,
        empty_label="Every mandatory suite that has not passed",
    )
    field_order = ["version", "suite"]

    def clean_version(self) -> AgentVersion:
        field: Any = self.fields["version"]
        found: AgentVersion = field.found(self.cleaned_data["version"], self.actor)
        return found


class EndpointForm(ReasonForm):
    template = TypeIDField(
        "tpl",
        AgentTemplate.objects.all(),
        Right.READ_DIRECTORY,
        label="Agent",
        help_text="Identifier (tpl_…) of the agent that answers there.",
    )
    version = TypeIDField(
        "ver",
        AgentVersion.objects.select_related("template"),
        Right.READ_DIRECTORY,
        required=False,
        label="Only this version",
        help_text="Identifier (ver_…). Empty: all versions that have no endpoint of their own.",
    )
    url = forms.CharField(
        max_length=500,
        label="URL",
        help_text="http or https. Questions are POSTed there as JSON; redirects are not followed.",
        widget=forms.URLInput(),
    )

    def clean_template(self) -> AgentTemplate:
        field: Any = self.fields["template"]
        found: AgentTemplate = field.found(self.cleaned_data["template"], self.actor)
        return found

    def clean_version(self) -> AgentVersion | None:
        value = self.cleaned_data["version"]
        field: Any = self.fields["version"]
        return field.found(value, self.actor) if value else None


class AllowHostForm(ReasonForm):
    entry = forms.CharField(
        max_length=253, label="Host or network", help_text="Like agents.internal or 10.20.0.0/16."
    )


class CapabilityForm(ReasonForm):
    capability = forms.CharField(
        max_length=80,
        required=False,
        help_text="Short name of what the suite measures, like refunds. Roles ask for it by this name. Empty: none.",
    )


class CertificationTypeForm(ReasonForm):
    name = forms.CharField(max_length=200)
    slug = forms.SlugField(max_length=80, help_text="Roles ask for it by this name; it does not change.")
    purpose = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What whoever certifies vouches for.",
    )
    days = forms.IntegerField(min_value=1, max_value=3650, initial=365, label="Valid for (days)")


class CertifyForm(ReasonForm):
    type = forms.ModelChoiceField(CertificationType.objects.none(), to_field_name="slug")
    version = TypeIDField(
        "ver",
        AgentVersion.objects.select_related("template", "genome"),
        Right.READ_DIRECTORY,
        help_text="Identifier (ver_…). What is certified is exactly its genome.",
    )
    valid_until = MomentField(
        required=False,
        label="Valid until (UTC)",
        help_text="Empty: as long as the type says.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["type"]
        field.queryset = visible(CertificationType.objects.all(), self.actor, Right.READ_DIRECTORY)

    def clean_version(self) -> AgentVersion:
        field: Any = self.fields["version"]
        found: AgentVersion = field.found(self.cleaned_data["version"], self.actor)
        return found
