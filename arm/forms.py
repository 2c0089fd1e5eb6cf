"""Forms of the core: they validate and never save."""

import time
from threading import Lock
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from arm.logs import address_of
from arm.models import Team, Tenant, User
from arm.moments import MomentField
from arm.queries import sign_in_locked, sign_in_slow
from arm.rights import Risk
from arm.roles import CHOICES

ONE_WAITS = Lock()
"""A guess at a name that many guess at is answered a second late; meanwhile it holds a thread, so no more than one does."""


class SignInForm(AuthenticationForm):
    """Name and password; `locked` tells whether the name must wait, before any password is looked at, and `crowded`
    that too many guess at it at this moment."""

    locked = crowded = False

    def clean(self) -> dict[str, Any]:
        typed = self.cleaned_data.get("username", "")
        if sign_in_locked(typed, address_of(self.request)):
            self.locked = True
            raise ValidationError("Too many failed sign-ins with this name. Try again later.", code="locked")
        if sign_in_slow(typed):
            if not ONE_WAITS.acquire(blocking=False):
                self.crowded = True
                message = "Many sign-ins with this name are failing right now. Try again in a moment."
                raise ValidationError(message, code="crowded")
            try:
                time.sleep(1)
            finally:
                ONE_WAITS.release()
        return super().clean()


class ReasonForm(forms.Form):
    """For commands that need nothing but a reason."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept with the change, for whoever asks later.",
    )


class BindForm(forms.Form):
    """Who gets which role, until when, up to which risk, and why. `cleaned_data` is what `services.bind` takes."""

    principal = forms.ChoiceField(label="Who")
    role = forms.ChoiceField(choices=[("", "Choose a role"), *CHOICES])
    risk_max = forms.ChoiceField(
        choices=[("", "Any risk"), *Risk.choices], required=False, label="Up to risk"
    )
    expires_at = MomentField(required=False, label="Until (UTC)")
    reason = forms.CharField(max_length=500)

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = User.objects.filter(memberships__tenant=tenant, memberships__active=True).order_by(
            "username"
        )
        teams = Team.objects.filter(tenant=tenant).order_by("name")
        self._by_key: dict[str, User | Group] = {f"user:{user.pk}": user for user in people}
        self._by_key |= {f"team:{team.pk}": team.group for team in teams.select_related("group")}
        self.fields["principal"].choices = [  # type: ignore[attr-defined]
            ("", "Choose a person or a team"),
            ("People", [(f"user:{user.pk}", f"{user} ({user.username})") for user in people]),
            ("Teams", [(f"team:{team.pk}", team.name) for team in teams]),
        ]

    def clean_principal(self) -> User | Group:
        return self._by_key[self.cleaned_data["principal"]]


class AddMemberForm(ReasonForm):
    """Whose account works here from now on: one that exists, or a new one."""

    EXISTING, PERSON, SERVICE = "existing", User.Kind.PERSON.value, User.Kind.SERVICE.value

    account = forms.ChoiceField(
        choices=[
            (PERSON, "A new account for a person"),
            (EXISTING, "Somebody who already has an account"),
            (SERVICE, "A new service account, for a machine"),
        ]
    )
    username = forms.CharField(label="User name", max_length=150)
    first_name = forms.CharField(max_length=150, required=False, help_text="Of a new account.")
    last_name = forms.CharField(max_length=150, required=False, help_text="Of a new account.")
    email = forms.EmailField(required=False, help_text="Of a new account.")

    field_order = ("account", "username", "first_name", "last_name", "email", "reason")


class TeamForm(ReasonForm):
    """What a new team is called."""

    name = forms.CharField(max_length=120)
    field_order = ("name", "reason")


class TeamMemberForm(ReasonForm):
    """Who joins or leaves a team, out of `people`."""

    person = forms.ModelChoiceField(User.objects.none(), empty_label="Choose a person")
    field_order = ("person", "reason")

    def __init__(self, *args: Any, people: QuerySet[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["person"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = people
        field.label_from_instance = lambda user: f"{user} ({user.username})"  # type: ignore[method-assign, assignment]


class TokenForm(ReasonForm):
    """What a service token is called, and how long it lives."""

    name = forms.CharField(max_length=120)
    days = forms.IntegerField(min_value=1, max_value=365, initial=90, label="Valid for (days)")
    field_order = ("name", "days", "reason")


class ViewForm(forms.Form):
    """What a saved view is called and who may use it; `query` and `list` come from the list's page."""

    name = forms.CharField(max_length=80)
    shared = forms.BooleanField(
        required=False,
        label="Share it with everybody here",
        help_text="It is a question: others see of its rows only what they may see anyway.",
    )
    default = forms.BooleanField(required=False, label="Open the list with it (for you alone)")
    query = forms.CharField(required=False, max_length=4000, widget=forms.HiddenInput)

    def __init__(self, *args: Any, may_share: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_share:
            del self.fields["shared"]


class SaveViewForm(ViewForm):
    list = forms.CharField(max_length=80, widget=forms.HiddenInput)
