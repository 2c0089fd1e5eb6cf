"""Stops: what and how, then the reason; where it takes two, the second person's yes."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model

from arm.forms import ReasonForm
from arm.moments import MomentField
from arm.rights import Right

from ..engine import Mode, ToolClass
from ..lifecycle import ReasonCode
from .scopes import ScopeForm, scope_by_id

MODES = [
    (Mode.DRAINING.value, "Draining: no new runs; what runs may finish"),
    (Mode.PAUSED.value, "Paused: nothing is allowed; one operator lifts it"),
    (Mode.READ_ONLY.value, "Read only: yellow and red tools are denied; an approver lifts it"),
    (Mode.QUARANTINED.value, "Quarantined: nothing is allowed; two approvers lift it"),
    (Mode.KILLED.value, "Killed: one agent, for good; its tokens are revoked"),
]


class StopForm(ScopeForm):
    """What to stop, and how: asked before the preview, which shows how far it reaches and whom it takes."""

    rights = (Right.RESTRICT_WIDELY, Right.MANAGE_INCIDENT)
    rights_on_one = (Right.RESTRICT_INSTANCE, Right.REQUEST_RESTRICTION)

    mode = forms.ChoiceField(choices=MODES, widget=forms.RadioSelect, initial=Mode.PAUSED.value)
    tool = forms.CharField(
        required=False, max_length=128, label="Only this tool", help_text="A name, or a glob like mail_*."
    )
    tool_class = forms.ChoiceField(
        required=False,
        label="Only tools of this class",
        choices=[("", "every tool"), *((each.value, each.value) for each in ToolClass)],
    )
    until = MomentField(
        required=False,
        label="Until (UTC)",
        help_text="Only a drain or a pause may end by itself. Empty: until somebody lifts it.",
    )

    def found(self, text: str) -> Model:
        rights = self.rights_on_one if text.startswith("ins_") else self.rights
        return scope_by_id(text, self.tenant, self.actor, *rights)

    def clean_mode(self) -> Mode:
        return Mode(self.cleaned_data["mode"])

    def clean_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["until"]
        return until.astimezone(UTC) if until else None


class PhraseForm(forms.Form):
    """Where a stop is wide, the name of its scope must be typed (`confirmation`)."""

    def __init__(self, *args: Any, phrase: str, **kwargs: Any) -> None:
        self.phrase = phrase
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.phrase and self.data.get("confirmation", "") != self.phrase:
            raise ValidationError(f"Type “{self.phrase}” to confirm how far this reaches.")
        return cleaned


class ConfirmStopForm(PhraseForm, ReasonForm):
    """The second page: the mode once more, a reason, and for wide stops the name of the scope."""

    mode = forms.ChoiceField(
        choices=MODES,
        required=False,
        label="Move to",
        help_text="Another choice first shows what it reaches.",
    )
    field_order: tuple[str, ...] = ("mode", "reason")


class RequestStopForm(ConfirmStopForm):
    """The second page where others must agree: what kind of reason, and why."""

    reason_code = forms.ChoiceField(choices=ReasonCode.choices, label="Kind of reason")
    field_order = ("mode", "reason_code", "reason")


class ConfirmRequestForm(PhraseForm):
    """The second person's yes to what they were shown."""

    digest = forms.CharField(max_length=71, widget=forms.HiddenInput)
    reason = forms.CharField(
        required=False,
        max_length=500,
        label="Remark",
        help_text="The reason of who asked is kept with the stop.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
