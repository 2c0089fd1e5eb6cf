"""Questions to the simulator."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from arm import ids
from arm.crypto import no_number, once
from arm.models import User
from arm.permissions import visible
from arm.rights import Right
from registry.models import AgentInstance, AgentVersion, Environment

from ..models import PolicyVersion


class WhatIfForm(forms.Form):
    """Version or instance × environment × policy."""

    subject = forms.CharField(
        max_length=60, label="Version or instance", help_text="Its identifier: ver_… or ins_…."
    )
    environment = forms.ModelChoiceField(
        Environment.objects.none(),
        to_field_name="slug",
        required=False,
        empty_label="where it runs, or the first",
    )
    policy = forms.ModelChoiceField(
        PolicyVersion.objects.none(),
        required=False,
        label="Policy version to try",
        empty_label="what is bound now",
    )
    alone = forms.BooleanField(required=False, label="Only this policy version, nothing that is bound")

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        self.actor = actor
        super().__init__(*args, **kwargs)
        environments: Any = self.fields["environment"]
        environments.queryset = visible(Environment.objects.order_by("position"), actor, Right.READ_DIRECTORY)
        versions: Any = self.fields["policy"]
        rows = PolicyVersion.objects.filter(state__in=["draft", "active"]).select_related("policy")
        versions.queryset = visible(
            rows.defer("content").order_by("policy__name", "-number"), actor, Right.READ_POLICY
        )
        versions.label_from_instance = lambda row: f"{row} ({row.get_state_display().lower()})"

    def clean_subject(self) -> AgentVersion | AgentInstance:
        text = str(self.cleaned_data["subject"]).strip()
        kind = text.rpartition("_")[0]
        if kind not in ("ver", "ins"):
            raise ValidationError("Name a version (ver_…) or an instance (ins_…).")
        try:
            pk = ids.decode(kind, text)
        except ValueError as problem:
            raise ValidationError(str(problem)) from problem
        rows: QuerySet[Any] = (
            AgentVersion.objects.select_related("template")
            if kind == "ver"
            else AgentInstance.objects.select_related("version__template", "environment")
        )
        found = visible(rows.filter(pk=pk), self.actor, Right.READ_DIRECTORY).first()
        if found is None:
            raise ValidationError("There is no such row, or it is not yours to see.")
        return found  # type: ignore[no-any-return]


class AskForm(forms.Form):
    """One tool with its arguments, as an agent would ask."""

    tool = forms.CharField(max_length=128)
    args = forms.CharField(
        required=False,
        max_length=50_000,
        label="Arguments (JSON object)",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "class": "code"}),
    )

    def clean_args(self) -> dict[str, Any]:
        text = self.cleaned_data["args"].strip()
        if not text:
            return {}
        try:
            value = json.loads(text, object_pairs_hook=once, parse_constant=no_number)
        except (ValueError, RecursionError) as problem:
            raise ValidationError(f"This is not JSON that can be relied on: {problem}.") from problem
        if not isinstance(value, dict):
            raise ValidationError("Arguments are a JSON object: {…}.")
        return value
