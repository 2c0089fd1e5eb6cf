"""Forms of policy's pages: they parse and validate; services write."""

import json
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from arm import clock, ids
from arm.forms import ReasonForm
from arm.models import Tenant, User
from arm.permissions import allowed, visible
from arm.rights import Right
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Provider,
    RoleDefinition,
)

from .engine import Mode, ToolClass
from .models import Policy, PolicyVersion, ToolRisk

OPENED = "policy.approval.opened"
LISTED = 200
"""As many rows of a kind as a choice offers; the rest is named by its identifier."""

SCOPES: dict[str, tuple[str, QuerySet[Any]]] = {
    "env": ("Environments", Environment.objects.order_by("position")),
    "prov": ("Providers", Provider.objects.order_by("slug")),
    "rol": ("Roles", RoleDefinition.objects.order_by("slug")),
    "tpl": ("Agents", AgentTemplate.objects.order_by("name")),
    "slt": ("Slots", DeploymentSlot.objects.select_related("role", "environment")),
    "ver": ("Versions", AgentVersion.objects.select_related("template")),
    "ins": ("Instances", AgentInstance.objects.select_related("template", "environment", "provider")),
}
"""TypeID prefix → heading and rows of everything that a policy or a stop can be about."""


def scope_by_id(text: str, tenant: Tenant, actor: User, right: Right = Right.READ_DIRECTORY) -> Model:
    """The thing that this identifier names, if the actor holds the right on it. ValidationError otherwise."""
    prefix = text.rpartition("_")[0]
    if prefix == Tenant.prefix:
        if text == ids.encode(Tenant.prefix, tenant.pk) and allowed(actor, right, tenant):
            return tenant
    elif prefix in SCOPES:
        try:
            pk = ids.decode(prefix, text)
        except ValueError as problem:
            raise ValidationError(str(problem)) from problem
        rows: QuerySet[Any] = SCOPES[prefix][1]
        if found := visible(rows.filter(pk=pk), actor, right).first():
            return found  # type: ignore[no-any-return]
    else:
        raise ValidationError(
            f"Name it by an identifier: {', '.join(f'{each}_…' for each in (Tenant.prefix, *SCOPES))}."
        )
    raise ValidationError("There is no such row, or you may not do this to it.")


class ScopeField(forms.ChoiceField):
    """The tenant and what lies below it, as far as the actor holds the right there; instances and versions are
    named by identifier."""

    def offer(self, tenant: Tenant, actor: User, right: Right, kinds: tuple[str, ...]) -> None:
        groups: list[Any] = [("", "Choose, or name an identifier below")]
        if allowed(actor, right, tenant):
            groups.append(("Tenant", [(ids.encode(Tenant.prefix, tenant.pk), f"{tenant} (everything)")]))
        for kind in kinds:
            label, rows = SCOPES[kind]
            found = [(row.typeid, str(row)) for row in visible(rows, actor, right)[:LISTED]]
            if found:
                groups.append((label, found))
        self.choices = groups


class ScopeForm(forms.Form):
    """Chooses one scope: from the list, or by identifier."""

    right = Right.READ_DIRECTORY
    listed: tuple[str, ...] = ("env", "prov", "rol", "tpl", "slt")

    scope = ScopeField(required=False, label="Scope")
    named = forms.CharField(
        required=False,
        max_length=60,
        label="Or by identifier",
        help_text="Such as ins_… or ver_…, as shown on its page.",
    )

    def __init__(self, *args: Any, tenant: Tenant, actor: User, **kwargs: Any) -> None:
        self.tenant, self.actor = tenant, actor
        super().__init__(*args, **kwargs)
        field: Any = self.fields["scope"]
        field.offer(tenant, actor, self.right, self.listed)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "scope" in cleaned:
            named, chosen = str(cleaned.get("named", "")).strip(), cleaned["scope"]
            if bool(named) is bool(chosen):
                self.add_error("scope", "Choose a scope, or name one by its identifier; one of the two.")
            else:
                try:
                    cleaned["target"] = self.found(named or chosen)
                except ValidationError as problem:
                    self.add_error("named" if named else "scope", problem)
        return cleaned

    def found(self, text: str) -> Model:
        return scope_by_id(text, self.tenant, self.actor, self.right)


# --- approvals -----------------------------------------------------------------------------------------------


def opened_now() -> str:
    """A signed mark of this moment, for the page that an approver opens."""
    return signing.dumps(clock.now().isoformat(), salt=OPENED)


class DecideForm(ReasonForm):
    """The answer is the button that was pressed; `digest` is what the person was shown."""

    digest = forms.CharField(max_length=71, widget=forms.HiddenInput)
    opened = forms.CharField(max_length=200, widget=forms.HiddenInput, required=False)

    def clean_opened(self) -> datetime | None:
        try:
            return datetime.fromisoformat(signing.loads(self.cleaned_data["opened"], salt=OPENED))
        except signing.BadSignature:
            return None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        answer = self.data.get("answer")
        if answer not in ("approve", "deny"):
            raise ValidationError("Approve or deny: press one of the two.")
        cleaned["approve"] = answer == "approve"
        return cleaned


# --- stops ---------------------------------------------------------------------------------------------------

MODES = [
    (Mode.DRAINING.value, "Draining: no new runs; what runs may finish"),
    (Mode.PAUSED.value, "Paused: nothing is allowed; one operator lifts it"),
    (Mode.READ_ONLY.value, "Read only: yellow and red tools are denied; an approver lifts it"),
    (Mode.QUARANTINED.value, "Quarantined: nothing is allowed; two approvers lift it"),
    (Mode.KILLED.value, "Killed: one agent, for good; its tokens are revoked"),
]


class StopForm(ScopeForm):
    """What to stop, and how: asked before the preview, which shows how far it reaches."""

    right = Right.RESTRICT_WIDELY

    mode = forms.ChoiceField(choices=MODES, widget=forms.RadioSelect, initial=Mode.PAUSED.value)
    tool = forms.CharField(
        required=False, max_length=128, label="Only this tool", help_text="A name, or a glob like mail_*."
    )
    tool_class = forms.ChoiceField(
        required=False,
        label="Only tools of this class",
        choices=[("", "every tool"), *((each.value, each.value) for each in ToolClass)],
    )
    until = forms.DateTimeField(
        required=False,
        label="Until (UTC)",
        help_text="Only a drain or a pause may end by itself. Empty: until somebody lifts it.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
    )

    def found(self, text: str) -> Model:
        right = Right.RESTRICT_INSTANCE if text.startswith("ins_") else self.right
        return scope_by_id(text, self.tenant, self.actor, right)

    def clean_mode(self) -> Mode:
        return Mode(self.cleaned_data["mode"])

    def clean_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["until"]
        return until.astimezone(UTC) if until else None


class ConfirmStopForm(ReasonForm):
    """The second page: a reason, and for wide stops the name of the scope, typed."""

    def __init__(self, *args: Any, phrase: str, **kwargs: Any) -> None:
        self.phrase = phrase
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.phrase and self.data.get("confirmation", "") != self.phrase:
            raise ValidationError(f"Type “{self.phrase}” to confirm how far this reaches.")
        return cleaned


# --- policies ------------------------------------------------------------------------------------------------


class DocumentField(forms.CharField):
    """A policy document as JSON text; what does not parse is said with line and column, and stays as it was typed."""

    widget = forms.Textarea(attrs={"rows": 24, "spellcheck": "false", "class": "code"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=200_000, strip=False, **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant)
        except json.JSONDecodeError as problem:
            raise ValidationError(
                f"This is not JSON: {problem.msg} in line {problem.lineno}, column {problem.colno}."
            ) from problem
        except (ValueError, RecursionError) as problem:
            raise ValidationError(f"This is not JSON that can be relied on: {problem}.") from problem


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two members of one name mean different things to different readers."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member “{twice}” stands there twice")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


class DraftForm(ReasonForm):
    content = DocumentField(label="Policy document (JSON)")
    field_order: tuple[str, ...] = ("content", "reason")


class PolicyForm(DraftForm):
    name = forms.CharField(max_length=160)
    slug = forms.SlugField(max_length=80, help_text="Short name for addresses; it does not change.")
    purpose = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    field_order = ("name", "slug", "purpose", "content", "reason")


class BindForm(ScopeForm, ReasonForm):
    right = Right.BIND_POLICY
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
    field_order = ("tool", "risk", "tool_class", "ceiling", "reason")


# --- simulator -----------------------------------------------------------------------------------------------


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
            value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as problem:
            raise ValidationError(f"This is not JSON that can be relied on: {problem}.") from problem
        if not isinstance(value, dict):
            raise ValidationError("Arguments are a JSON object: {…}.")
        return value
