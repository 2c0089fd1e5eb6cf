"""Forms of roles: what a job asks, one thing a line; who is assigned; and whether evidence is asked for."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError

from arm.errors import Problem
from arm.models import User
from arm.moments import MomentField
from arm.permissions import visible
from arm.rights import Right, Risk

from ..models import AgentInstance, AgentVersion, Environment, RoleDefinition
from ..queries import who_answers
from ..services.roles import assigning_problems
from ..staffing import MOST_APPROVALS
from . import ReasonForm, TypeIDField
from .base import Judging, SeenForm

_LINES = {"rows": 4, "spellcheck": "false"}
MONEY: dict[str, Any] = {"max_digits": 18, "decimal_places": 6, "min_value": 0, "required": False}
PERCENT: dict[str, Any] = {"max_digits": 6, "decimal_places": 3, "max_value": 100, "required": False}


class RoleEditForm(ReasonForm):
    """All that a role says, but for its short name."""

    name = forms.CharField(max_length=160)
    purpose = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    tier = forms.IntegerField(min_value=0, max_value=5, initial=2, label="Autonomy tier, at most")
    risk = forms.ChoiceField(choices=Risk, initial=Risk.MEDIUM, label="Risk class, at most")
    cost_center = forms.CharField(max_length=80, required=False, label="Cost centre")
    capabilities = forms.CharField(
        required=False,
        label="Required capabilities",
        widget=forms.Textarea(attrs={**_LINES, "placeholder": "refunds 80"}),
        help_text="One a line: its short name, and the least score in per cent. Suites say what they measure.",
    )
    certifications = forms.CharField(
        required=False,
        label="Required certifications",
        help_text="Short names of their types, separated by commas.",
    )
    budget_per_day = forms.DecimalField(label="Budget per day", **MONEY)
    budget_per_month = forms.DecimalField(label="Budget per month", **MONEY)
    budget_per_outcome = forms.DecimalField(label="Budget per outcome", **MONEY)
    currency = forms.CharField(
        max_length=3,
        required=False,
        help_text="Three letters, like EUR. Empty: your organisation's, where there is a budget.",
    )
    success_rate = forms.DecimalField(label="Success rate, at least (%)", **PERCENT)
    latency_ms = forms.IntegerField(min_value=1, required=False, label="Latency, at most (ms)")
    availability = forms.DecimalField(label="Availability, at least (%)", **PERCENT)
    coverage = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={**_LINES, "rows": 3, "placeholder": "prod 2"}),
        help_text="One a line: the short name of an environment, and how many instances at work it takes there.",
    )
    failover = forms.BooleanField(
        required=False, help_text="At two providers or more, wherever it is covered."
    )

    approvals = forms.IntegerField(
        min_value=1,
        max_value=MOST_APPROVALS,
        initial=1,
        required=False,
        label="Approvals, at least",
        help_text="How many people approve a version of an agent that does it; your rule by risk class may ask for more.",
    )

    def clean_approvals(self) -> int:
        return int(self.cleaned_data["approvals"] or 1)

    def clean_risk(self) -> Risk:
        return Risk(self.cleaned_data["risk"])

    def clean_currency(self) -> str:
        return str(self.cleaned_data["currency"]).strip().upper()

    def clean_capabilities(self) -> list[dict[str, Any]]:
        return list(_rows(self.cleaned_data["capabilities"], "name"))

    def clean_coverage(self) -> list[dict[str, Any]]:
        return list(_rows(self.cleaned_data["coverage"], "environment"))

    def clean_certifications(self) -> list[str]:
        words = str(self.cleaned_data["certifications"]).replace(",", " ").split()
        return [word.lower() for word in words]

    @staticmethod
    def initial_of(role: RoleDefinition) -> dict[str, Any]:
        """What the form shows of a role as it is."""
        plain = {name: getattr(role, name) for name in RoleEditForm.base_fields if name != "reason"}
        return plain | {
            "capabilities": "\n".join(f"{name} {least}" for name, least in role.needs.items()),
            "coverage": "\n".join(f"{slug} {least}" for slug, least in role.covers.items()),
            "certifications": ", ".join(role.certifications),
        }


class RoleForm(RoleEditForm):
    slug = forms.SlugField(max_length=80, help_text="Short name for addresses and files; it does not change.")
    field_order = ["name", "slug"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields(["name", "slug"])


def _rows(text: str, key: str) -> Iterable[dict[str, Any]]:
    """`word number` a line as {key: word, "least": number}."""
    for line in text.splitlines():
        words = line.removesuffix("%").split()
        if not words:
            continue
        if len(words) != 2 or not words[1].isdecimal():
            raise ValidationError(f"“{line.strip()[:80]}” is not a short name and a whole number.")
        yield {key: words[0].lower(), "least": int(words[1])}


class AssignForm(Judging):
    """A version, or one instance of it, for a role in an environment."""

    environment = forms.ModelChoiceField(Environment.objects.none(), to_field_name="slug")
    version = TypeIDField(
        "ver",
        AgentVersion.objects.select_related("template", "genome"),
        Right.READ_DIRECTORY,
        required=False,
        help_text="Identifier (ver_…): all its instances in this environment do the job.",
    )
    instance = TypeIDField(
        "ins",
        AgentInstance.objects.select_related("version__template", "environment"),
        Right.READ_DIRECTORY,
        required=False,
        label="Only this instance",
        help_text="Identifier (ins_…). Then the version may be left out.",
    )
    since = MomentField(required=False, label="From (UTC)", help_text="Empty: now.")
    until = MomentField(required=False, label="Until (UTC)", help_text="Empty: until it is ended.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = visible(Environment.objects.order_by("position"), self.actor, Right.READ_DIRECTORY)
        self.fields["environment"].queryset = rows  # type: ignore[attr-defined]

    def clean_version(self) -> Any:
        return self._named("version")

    def clean_instance(self) -> Any:
        return self._named("instance")

    def _named(self, name: str) -> Any:
        value, field = self.cleaned_data[name], self.fields[name]
        return field.found(value, self.actor) if value else None  # type: ignore[attr-defined]

    def judge(self, cleaned: dict[str, Any]) -> list[Problem]:
        somebody = bool(self.data.get("version") or self.data.get("instance"))
        given = {name: value for name, value in cleaned.items() if value}
        return assigning_problems(**given, somebody=somebody)


class RoleChangeForm(RoleEditForm, SeenForm):
    """`seen` is the role's revision."""

    seen_type = int


class EvidenceRuleForm(ReasonForm):
    required = forms.BooleanField(
        required=False,
        label="Verified Agent Cards only",
        help_text="In production, and wherever the risk is high or critical, no version is bound or assigned without one.",
    )


class DeprecationRuleForm(ReasonForm):
    severity = forms.ChoiceField(
        choices=[("", "Never by itself"), ("s0", "S0"), ("s1", "S0 and S1"), ("s2", "S0 to S2"), ("s3", "S0 to S3")],
        required=False, label="An incident deprecates its version",
        help_text="Incidents that say that the version does harm: policy violation, data leak, misuse of a tool, tampering, worse quality.",
    )  # fmt: skip


class SuccessorsForm(SeenForm):
    seen_type = list
    successors = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs=_LINES),
        help_text="User names, one a line, the first to succeed first.",
    )

    def __init__(self, *args: Any, tenant_id: UUID, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant_id = tenant_id

    def clean_successors(self) -> list[User]:
        names = str(self.cleaned_data["successors"]).split()
        found, why = who_answers(self.tenant_id, names)
        if why:
            raise ValidationError([why[name] for name in dict.fromkeys(names) if name in why])
        return [found[name] for name in names]
