"""Forms of the lifecycles."""

from django import forms

from arm.forms import MomentInput

from . import ReasonForm


class RebindForm(ReasonForm):
    by = forms.DateTimeField(
        label="Due (UTC)",
        widget=MomentInput(),
        help_text="Slots that still bind it then are named in an incident; nothing of theirs is stopped.",
    )
