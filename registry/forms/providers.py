"""Forms that change a provider, and that say which providers a tenant allows."""

from typing import Any

from django import forms

from ..models import Provider
from .base import ReasonForm

MEMBERS = ("name", "description", "region", "terms", "heartbeat_seconds")


class ProviderEditForm(ReasonForm):
    name = forms.CharField(max_length=160)
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    region = forms.CharField(max_length=80, required=False, help_text="Where its machines stand.")
    terms = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What was agreed with it, or where that is kept.",
    )
    heartbeat_seconds = forms.IntegerField(min_value=5, max_value=86_400, label="Heartbeat within (seconds)")


class AllowedProvidersForm(ReasonForm):
    providers = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, help_text="None chosen: all are allowed."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Provider.objects.filter(closed_at=None).order_by("slug").values_list("slug", "name")
        self.fields["providers"].choices = [(slug, f"{name} ({slug})") for slug, name in rows]  # type: ignore[attr-defined]


class EmptySlotForm(ReasonForm):
    close = forms.BooleanField(required=False, help_text="It takes no version any more; its history stays.")
