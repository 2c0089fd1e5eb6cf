"""Forms of the federation: they validate and never save."""

from django import forms

from arm.forms import ReasonForm


class ApproveForm(ReasonForm):
    """The thumbprints that were shown come back with the answer, so that no others are approved."""

    auth_kid = forms.CharField(widget=forms.HiddenInput, max_length=43)
    attest_kid = forms.CharField(widget=forms.HiddenInput, max_length=43)
    compared = forms.BooleanField(
        label="I have compared both thumbprints with what the provider told me another way",
        error_messages={
            "required": "Compare them first: this is all that tells the provider from an impostor."
        },
    )
    field_order = ("compared", "reason", "auth_kid", "attest_kid")
