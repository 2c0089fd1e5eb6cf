"""The approver's answer."""

from datetime import datetime
from typing import Any

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError

from arm import clock
from arm.forms import ReasonForm

OPENED = "policy.approval.opened"


def opened_now() -> str:
    """A signed mark of this moment, for the page that an approver opens."""
    return signing.dumps(clock.now().isoformat(), salt=OPENED)


class DecideForm(ReasonForm):
    """The answer is the button that was pressed; `digest` is what the person was shown."""

    digest = forms.CharField(max_length=71, widget=forms.HiddenInput)
    opened = forms.CharField(max_length=200, widget=forms.HiddenInput, required=False)

    def clean_opened(self) -> datetime | None:
        try:
            return datetime.fromisoformat(signing.loads(self.cleaned_data["opened"], salt=OPENED))
        except signing.BadSignature:
            return None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        answer = self.data.get("answer")
        if answer not in ("approve", "deny"):
            raise ValidationError("Approve or deny: press one of the two.")
        cleaned["approve"] = answer == "approve"
        return cleaned
