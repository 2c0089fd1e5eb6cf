"""Forms of the core: they validate and never save."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError

from arm.queries import sign_in_locked


class SignInForm(AuthenticationForm):
    """Name and password; `locked` tells whether the name must wait, before any password is looked at."""

    locked = False

    def clean(self) -> dict[str, Any]:
        if sign_in_locked(self.cleaned_data.get("username", "")):
            self.locked = True
            raise ValidationError("Too many failed sign-ins with this name. Try again later.", code="locked")
        return super().clean()


class ReasonForm(forms.Form):
    """For commands that need nothing but a reason."""

    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 2}))
