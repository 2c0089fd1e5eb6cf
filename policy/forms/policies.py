"""Policies, where they hold, and how dangerous tools are."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from arm.crypto import no_number, once
from arm.forms import ReasonForm
from arm.models import User
from arm.permissions import visible
from arm.rights import Right
from registry.models import Environment

from ..engine import ToolClass
from ..models import Policy, PolicyVersion, ToolRisk
from .scopes import ScopeForm


class DocumentField(forms.CharField):
    """A policy document as JSON text; what does not parse is said with line and column, and stays as it was typed."""

    widget = forms.Textarea(attrs={"rows": 24, "spellcheck": "false", "class": "code"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=200_000, strip=False, **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return json.loads(text, object_pairs_hook=once, parse_constant=no_number)
        except json.JSONDecodeError as problem:
            raise ValidationError(
                f"This is not JSON: {problem.msg} in line {problem.lineno}, column {problem.colno}."
            ) from problem
        except (ValueError, RecursionError) as problem:
            raise ValidationError(f"This is not JSON that can be relied on: {problem}.") from problem


class DraftForm(ReasonForm):
    content = DocumentField(label="Policy document (JSON)")
    field_order: tuple[str, ...] = ("content", "reason")


class PolicyForm(DraftForm):
    name = forms.CharField(max_length=160)
    slug = forms.SlugField(max_length=80, help_text="Short name for addresses; it does not change.")
    purpose = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    field_order = ("name", "slug", "purpose", "content", "reason")


class BindForm(ScopeForm, ReasonForm):
    rights = (Right.BIND_POLICY,)
    listed = ("env", "rol", "tpl", "slt")

    policy = forms.ModelChoiceField(Policy.objects.none(), to_field_name="slug")
    field_order = ("policy", "scope", "named", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Policy.objects.filter(versions__in=PolicyVersion.objects.active()).order_by("name")
        field: Any = self.fields["policy"]
        field.queryset = visible(rows, self.actor, Right.READ_POLICY)


class ToolRiskForm(ReasonForm):
    tool = forms.CharField(max_length=128, help_text="A tool's name, or a glob like crm_*.")
    risk = forms.ChoiceField(
        choices=[("", "as it is"), *ToolRisk.RISKS], required=False, label="Class of risk"
    )
    tool_class = forms.ChoiceField(
        choices=[("", "as it is"), *((each.value, each.value) for each in ToolClass)],
        required=False,
        label="Kind of tool",
    )
    ceiling = forms.TypedChoiceField(
        choices=[("", "none"), *((str(tier), f"tier {tier}") for tier in range(6))],
        coerce=int,
        empty_value=None,
        required=False,
        label="Ceiling",
        help_text="The highest tier that counts for this tool.",
    )
    environment = forms.ModelChoiceField(
        Environment.objects.none(), required=False, empty_label="everywhere", label="Where it counts"
    )
    field_order = ("tool", "environment", "risk", "tool_class", "ceiling", "reason")

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["environment"]
        field.queryset = visible(Environment.objects.order_by("position"), actor, Right.READ_DIRECTORY)
