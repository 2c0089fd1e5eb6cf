"""Forms of tables and of the keys of cards."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from arm.models import User

from ..models import TableImport
from ..protocol import sheet
from ..protocol.cyclonedx import SPECS
from . import ReasonForm


class CardKeyForm(ReasonForm):
    url = forms.CharField(
        max_length=500, label="Address of the keys", help_text="Exactly as cards name it in “jku”."
    )
    internal = forms.BooleanField(
        required=False,
        label="Inside our walls",
        help_text="Its host may have an address that is not public, and speak plain http.",
    )


class BomForm(ReasonForm):
    spec = forms.ChoiceField(
        choices=[(spec, f"CycloneDX {spec}") for spec in reversed(SPECS)],
        widget=forms.RadioSelect,
        initial=SPECS[-1],
        label="Specification",
    )


class TableForm(forms.Form):
    """A table to be judged; nothing of it is stored before it is applied."""

    kind = forms.ChoiceField(
        choices=TableImport.Kind.choices, widget=forms.RadioSelect, initial="templates", label="Rows are"
    )
    file = forms.FileField(
        help_text=f"CSV in UTF-8, at most {sheet.MAX_BYTES // 1024 // 1024} MiB and {sheet.MAX_ROWS:,} rows."
    )

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def clean_kind(self) -> TableImport.Kind:
        return TableImport.Kind(self.cleaned_data["kind"])

    def clean_file(self) -> Any:
        upload = self.cleaned_data["file"]
        if upload.size and upload.size > sheet.MAX_BYTES:
            raise ValidationError(
                f"The file has {upload.size:,} bytes; at most {sheet.MAX_BYTES:,} are read.", code="too_large"
            )
        return upload
