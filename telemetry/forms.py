"""Forms that parse and validate; services write."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from arm import ids
from arm.forms import ReasonForm
from arm.models import Membership, Tenant, User
from arm.permissions import visible
from arm.rights import Right
from registry.forms.releases import TargetsField
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, AgentTemplate, AgentVersion, Environment, Provider

from .lifecycle import HARM, Detection, IncidentKind, Severity
from .services import MEASURES

SUBJECTS: dict[str, type[Model]] = {
    model.prefix: model
    for model in (AgentInstance, AgentVersion, AgentTemplate, Environment, Provider, Tenant)
}
"""What an incident can be about, by the prefix of its identifier."""


def subject_of(text: str, actor: User) -> Model:
    """The row that this identifier names, if the person may see it. ValidationError says what is wrong."""
    prefix = text.strip().rpartition("_")[0]
    if prefix not in SUBJECTS:
        raise ValidationError(f"Name it by an identifier that begins with {', '.join(SUBJECTS)}.")
    model = SUBJECTS[prefix]
    try:
        pk = ids.decode(prefix, text.strip())
    except ValueError as problem:
        raise ValidationError(str(problem)) from problem
    right = Right.READ_INCIDENTS if model is Tenant else Right.READ_DIRECTORY
    found = visible(model._default_manager.filter(pk=pk), actor, right).first()
    if found is None:
        raise ValidationError("There is no such row, or it is not yours to see.")
    return found


def people_of(tenant: Tenant) -> QuerySet[User]:
    """Who works in the tenant, by name."""
    members = Membership.objects.filter(tenant=tenant, active=True).values("user")
    return User.objects.filter(pk__in=members, kind=User.Kind.PERSON, is_active=True).order_by("username")


class Lines(forms.CharField):
    """A text of several lines."""

    def __init__(self, rows: int = 3, **kwargs: Any) -> None:
        super().__init__(widget=forms.Textarea(attrs={"rows": rows}), max_length=4000, **kwargs)


class IncidentForm(forms.Form):
    subject = forms.CharField(
        max_length=60,
        help_text="Identifier of what it is about: ins_…, ver_…, tpl_…, env_…, prov_… or ten_….",
    )
    kind = forms.ChoiceField(choices=IncidentKind)
    severity = forms.ChoiceField(choices=Severity, initial=Severity.S2)
    title = forms.CharField(max_length=250, help_text="What is wrong, in one line.")
    detected = forms.ChoiceField(
        choices=[(d.value, d.label) for d in (Detection.PERSON, Detection.OUTSIDE)], label="Detected by"
    )
    harm = forms.BooleanField(
        required=False,
        label="The version does harm wherever it runs",
        help_text="Then the rule of this organisation may deprecate it. What is about a version itself says so by its kind:"
        f" {', '.join(sorted(kind.label.lower() for kind in HARM))}.",
    )
    note = Lines(required=False, label="What you saw")

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        self.actor = actor
        super().__init__(*args, **kwargs)

    def clean_subject(self) -> Model:
        return subject_of(self.cleaned_data["subject"], self.actor)


class OwnedForm(forms.Form):
    """For forms that hand an incident to somebody."""

    owner = forms.ModelChoiceField(
        User.objects.none(), to_field_name="username", required=False, empty_label="Nobody yet"
    )

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].queryset = people_of(tenant)  # type: ignore[attr-defined]


class TriageForm(OwnedForm):
    severity = forms.ChoiceField(choices=Severity)
    harm = forms.BooleanField(
        required=False,
        label="The version does harm wherever it runs",
        help_text="Then the rule of this organisation may deprecate it.",
    )
    reason = Lines(label="What you found")
    field_order = ("severity", "harm", "owner", "reason")

    def __init__(self, *args: Any, asks_harm: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not asks_harm:
            del self.fields["harm"]


class AssignForm(OwnedForm):
    reason = Lines(rows=2, required=False, label="Note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].required = True
        self.fields["owner"].empty_label = None  # type: ignore[attr-defined]


class MitigateForm(forms.Form):
    ELSEWHERE = "elsewhere"

    measure = forms.ChoiceField(
        choices=[*((m.value, m.label) for m in MEASURES), (ELSEWHERE, "Done elsewhere")],
        widget=forms.RadioSelect,
    )
    reason = Lines(rows=2, help_text="Kept with the change of the instance.")

    def clean_measure(self) -> InstanceState | None:
        measure = self.cleaned_data["measure"]
        return None if measure == self.ELSEWHERE else InstanceState(measure)


class ResolveForm(forms.Form):
    root_cause = Lines(label="Root cause", help_text="Why it happened.")
    remediation = Lines(help_text="What was changed so that it does not happen again.")


class ReviewForm(forms.Form):
    lessons = Lines(rows=4, label="What was learned")


class WhyForm(forms.Form):
    reason = Lines(rows=2)


class RollBackForm(ReasonForm):
    """Why, and what the page has shown."""

    targets = TargetsField()


class NoteForm(forms.Form):
    text = Lines(label="Note")


class KeyForm(forms.Form):
    """An ingest key speaks for one provider in one environment."""

    environment = forms.ModelChoiceField(Environment.objects.none(), to_field_name="slug")
    provider = forms.ModelChoiceField(Provider.objects.none(), to_field_name="slug")
    name = forms.CharField(max_length=120, help_text="Where it will be used, like “collector in Berlin”.")
    days = forms.IntegerField(min_value=1, max_value=730, initial=365, label="Valid for (days)")
    reason = Lines(rows=2)

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, rows in (
            ("environment", Environment.objects.order_by("position")),
            ("provider", Provider.objects.order_by("slug")),
        ):
            self.fields[name].queryset = visible(rows, actor, Right.READ_DIRECTORY)  # type: ignore[attr-defined]


class RotateForm(forms.Form):
    KEEP = ((0, "At once"), (1, "In an hour"), (24, "In a day"), (168, "In a week"))

    keep_hours = forms.TypedChoiceField(
        choices=KEEP,
        coerce=int,
        initial=24,
        label="The old key ends",
        help_text="Time to put the new key in place; until then both work.",
    )
    reason = Lines(rows=2)
