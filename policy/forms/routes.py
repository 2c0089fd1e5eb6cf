"""Who shall be asked for the approvals of an environment, and what holds where no policy is bound."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from arm.forms import ReasonForm
from arm.models import Team, User
from arm.permissions import visible
from arm.rights import Right
from arm.roles import ROLES
from registry.models import Environment

from ..models import Policy, PolicyVersion

DECIDING = [(role.name, role.label) for role in ROLES.values() if Right.DECIDE_APPROVAL in role.rights]


class DefaultPolicyForm(ReasonForm):
    policy = forms.ModelChoiceField(
        Policy.objects.none(), required=False, empty_label="none: nothing is allowed"
    )
    field_order = ("policy", "reason")

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Policy.objects.filter(versions__in=PolicyVersion.objects.active()).order_by("name")
        field: Any = self.fields["policy"]
        field.queryset = visible(rows, actor, Right.READ_POLICY)


class RouteForm(ReasonForm):
    environment = forms.ModelChoiceField(Environment.objects.none(), empty_label="Choose an environment")
    team = forms.ModelChoiceField(Team.objects.none(), required=False, empty_label="no team")
    role = forms.ChoiceField(
        choices=[("", "no role"), *DECIDING], required=False, help_text="A team or a role, one of them."
    )
    field_order = ("environment", "team", "role", "reason")

    def __init__(self, *args: Any, actor: User, tenant_id: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        places: Any = self.fields["environment"]
        places.queryset = visible(Environment.objects.order_by("position"), actor, Right.READ_DIRECTORY)
        teams: Any = self.fields["team"]
        teams.queryset = Team.objects.filter(tenant=tenant_id).order_by("name")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if bool(cleaned.get("team")) == bool(cleaned.get("role")):
            raise ValidationError("Choose a team or a role, one of them.")
        return cleaned
