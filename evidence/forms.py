"""Forms of evidence."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

MAX_UPLOAD = 50 * 1024 * 1024


class VerifyForm(forms.Form):
    file = forms.FileField(
        label="File", help_text="A signed statement (.dsse.json), a PDF, or an Audit Pack (.zip)."
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_UPLOAD:
            raise ValidationError(f"Give a file of at most {MAX_UPLOAD // 1024**2} MB.")
        return file
