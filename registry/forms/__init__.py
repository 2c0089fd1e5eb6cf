"""Forms that parse and validate; services write."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from arm import crypto
from arm.errors import Problem
from arm.models import User
from arm.moments import MomentField
from arm.permissions import visible
from arm.rights import Right, Risk

from ..facts import Budget
from ..genome import PROFILES
from ..genome.reading import MAX_BYTES
from ..lifecycle import InstanceState, VersionState
from ..models import (
    MAX_PROMPT_BYTES,
    AgentTemplate,
    AgentVersion,
    Environment,
    Project,
    Provider,
    RoleDefinition,
)
from ..protocol.a2a import BINDINGS, Interface
from ..services.placing import provisioning_problems
from .base import Acknowledging, Judging, ReasonForm, SeenForm, TypeIDField
from .places import BindSlotForm, EnvironmentForm, ProviderForm, SlotForm

__all__ = [
    "A2ACardForm",
    "BindSlotForm",
    "EnvironmentForm",
    "FileForm",
    "ImportForm",
    "MoveInstanceForm",
    "MoveVersionForm",
    "OwnersForm",
    "ParentsForm",
    "PastStateForm",
    "ProfilesForm",
    "PromptForm",
    "ProviderForm",
    "ProvisionForm",
    "ReasonForm",
    "SlotForm",
    "SpawnForm",
    "TemplateEditForm",
    "TemplateForm",
    "TemplateRiskForm",
    "TokenForm",
    "TypeIDField",
]


class TemplateForm(ReasonForm):
    name = forms.CharField(max_length=200)
    slug = forms.SlugField(max_length=80, help_text="Short name for addresses and files; it does not change.")
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))
    intended_use = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    out_of_scope = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text="What it must not be used for."
    )
    risk = forms.ChoiceField(choices=Risk, initial=Risk.MEDIUM)
    tags = forms.CharField(required=False, help_text="Separated by commas.")
    project = forms.ModelChoiceField(Project.objects.none(), to_field_name="slug", required=False)
    cost_center = forms.CharField(max_length=80, required=False, label="Cost centre")

    def __init__(self, *args: Any, held: Project | None = None, **kwargs: Any) -> None:
        """`held`: the agent's project. Who does not see that one, or any, is not asked."""
        super().__init__(*args, **kwargs)
        seen = visible(Project.objects.order_by("slug"), self.actor, Right.READ_DIRECTORY)
        self.fields["project"].queryset = seen  # type: ignore[attr-defined]
        if (held is not None and not seen.filter(pk=held.pk).exists()) or not seen.exists():
            del self.fields["project"]

    def clean_tags(self) -> list[str]:
        return [tag.strip() for tag in str(self.cleaned_data["tags"]).split(",") if tag.strip()]

    def clean_risk(self) -> Risk:
        return Risk(self.cleaned_data["risk"])


class TemplateEditForm(TemplateForm):
    slug = None  # type: ignore[assignment]  # the short name does not change
    risk = None  # type: ignore[assignment]  # its risk class is changed by whoever manages the directory


class TemplateRiskForm(ReasonForm):
    risk = forms.ChoiceField(choices=Risk)

    def clean_risk(self) -> Risk:
        return Risk(self.cleaned_data["risk"])


class OwnersForm(SeenForm):
    seen_type = list
    owners = forms.ModelMultipleChoiceField(
        queryset=User.objects.none(),
        to_field_name="username",
        widget=forms.CheckboxSelectMultiple,
        help_text="Who answers for this agent.",
    )

    def __init__(self, *args: Any, people: QuerySet[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owners"].queryset = people  # type: ignore[attr-defined]

    def clean_owners(self) -> list[User]:
        return list(self.cleaned_data["owners"])


class FileForm(ReasonForm):
    """A genome or agent card: a file, or its text."""

    file = forms.FileField(required=False, help_text="JSON or YAML, at most 5 MiB.")
    text = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "code"})
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        upload = cleaned.get("file")
        text = cleaned.get("text", "")
        if bool(upload) is bool(text):
            raise ValidationError("Choose a file or paste its text; one of the two.")
        if upload is not None:
            if upload.size and upload.size > MAX_BYTES:
                message = f"The file has {upload.size:,} bytes; at most {MAX_BYTES:,} are read."
                raise ValidationError({"file": ValidationError(message, code="too_large")})
            cleaned["data"] = upload.read()
            yaml = str(upload.name).lower().endswith((".yaml", ".yml"))
        else:
            cleaned["data"] = text.encode(errors="surrogatepass")
            yaml = not text.lstrip().startswith(("{", "["))
        cleaned["media_type"] = "application/yaml" if yaml else "application/json"
        return cleaned


class ParentsForm(ReasonForm):
    """Versions that another comes from, by their identifiers."""

    parents = forms.CharField(
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "class": "code"}),
        label="Comes from",
        help_text="Identifiers of versions (ver_…), of this agent or another, at most 16; empty for none.",
    )

    def clean_parents(self) -> list[AgentVersion]:
        names = str(self.cleaned_data["parents"]).replace(",", " ").split()
        if len(names) > 16:
            raise ValidationError("At most 16.")
        one = TypeIDField("ver", AgentVersion.objects.select_related("template"), Right.READ_DIRECTORY)
        return [one.found(name, self.actor) for name in names]


class ImportForm(FileForm):
    KINDS = (
        ("genome", "Genome (JSON or YAML)"),
        ("agent_card", "A2A agent card (JSON)"),
        ("cyclonedx", "CycloneDX ML-BOM (JSON)"),
        ("oasf", "OASF record (JSON)"),
        ("mcp_server", "MCP server.json: changes the tools of a version"),
    )

    kind = forms.ChoiceField(choices=KINDS, widget=forms.RadioSelect, initial="genome")
    template = TypeIDField(
        "tpl",
        AgentTemplate.objects.all(),
        Right.CREATE_VERSION,
        required=False,
        label="Agent",
        help_text="Identifier (tpl_…) of the agent that it is a version of. Empty: what the file says, or a new one.",
    )
    version = TypeIDField(
        "ver",
        AgentVersion.objects.select_related("template", "genome"),
        Right.CREATE_VERSION,
        required=False,
        help_text="Identifier (ver_…) of the version whose tools an MCP server.json changes.",
    )
    name = forms.CharField(
        max_length=200, required=False, label="Name of a new agent", help_text="Where the file names none."
    )
    label = forms.CharField(max_length=80, required=False, label="Version label", help_text="Such as 2.4.1.")
    field_order = ["kind", "file", "text", "template", "version", "name", "label"]

    def clean_template(self) -> Any:
        return self._named("template")

    def clean_version(self) -> Any:
        return self._named("version")

    def _named(self, name: str) -> Any:
        value = self.cleaned_data[name]
        field: Any = self.fields[name]
        return field.found(value, self.actor) if value else None


PROFILE_WORDS = {
    "runtime": "runtime: the image and framework that it runs on",
    "memory": "memory: what it remembers, where, how long, and whether of people",
    "data_sources": "data_sources: what data it reads or writes",
    "behavior": "behavior: its highest autonomy tier, guardrails, how it refuses",
    "identity": "identity: its persona",
    "spawn": "spawn: whether and how many others it may start",
    "limits": "limits: turns, tokens, time and money of one run",
    "skills": "skills: what it can do, in words (an A2A card needs them)",
    "evaluations": "evaluations: the suites that it must pass",
    "secrets": "secrets: the names of the secrets that it is given",
}


class ProfilesForm(ReasonForm):
    """Which of the recommended genome profiles this tenant requires."""

    profiles = forms.MultipleChoiceField(
        choices=[(name, PROFILE_WORDS[name]) for name in PROFILES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Required profiles",
        help_text="A version without one of them cannot be tested, proposed or approved.",
    )
    prompts_kept = forms.BooleanField(
        required=False,
        label="Prompts must be stored here",
        help_text="A genome that names a prompt which is not stored is refused; versions that have one are not promoted.",
    )


class PromptForm(ReasonForm):
    """A prompt as it is, byte for byte: a text field of a browser would change its line ends."""

    file = forms.FileField(help_text="UTF-8 text, at most 1 MiB; stored as it is.")
    media_type = forms.CharField(max_length=100, initial="text/plain; charset=utf-8")
    digest = forms.CharField(
        max_length=71, required=False, help_text="What a genome calls it, to be sure that it is this one."
    )

    def clean_file(self) -> bytes:
        upload = self.cleaned_data["file"]
        if upload.size > MAX_PROMPT_BYTES:
            raise ValidationError(f"A prompt has at most {MAX_PROMPT_BYTES:,} bytes.", code="too_large")
        data: bytes = upload.read()
        return data

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        wanted, data = cleaned.get("digest"), cleaned.get("file")
        if wanted and data is not None and crypto.digest(data) != wanted.strip():
            self.add_error("file", f"The digest of this file is {crypto.digest(data)}.")
        return cleaned


class MoveVersionForm(Acknowledging):
    to = forms.ChoiceField(choices=VersionState, label="Move to")

    def __init__(self, *args: Any, targets: tuple[VersionState, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to"].choices = [(state.value, state.label) for state in targets]  # type: ignore[attr-defined]
        if VersionState.CANDIDATE not in targets:
            del self.fields["acknowledged"]

    def clean_to(self) -> VersionState:
        return VersionState(self.cleaned_data["to"])


class PastStateForm(ReasonForm):
    """What an instance was, from a moment that has passed."""

    state = forms.TypedChoiceField(choices=InstanceState.choices, coerce=InstanceState)
    since = MomentField(label="From (UTC)")


class MoveInstanceForm(ReasonForm):
    """`seen` is the state whose reach the page has shown."""

    to = forms.ChoiceField(choices=InstanceState, label="Move to")
    seen = forms.CharField(max_length=20, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, targets: tuple[InstanceState, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to"].choices = [(state.value, state.label) for state in targets]  # type: ignore[attr-defined]

    def clean_to(self) -> InstanceState:
        return InstanceState(self.cleaned_data["to"])


class TokenForm(ReasonForm):
    name = forms.CharField(max_length=120, help_text="Where it will be kept, such as the name of a secret.")
    days = forms.IntegerField(min_value=1, max_value=365, initial=90, label="Valid for (days)")


class ProvisionForm(Judging):
    version = TypeIDField(
        "ver",
        AgentVersion.objects.select_related("template", "genome"),
        Right.READ_DIRECTORY,
        help_text="Identifier (ver_…) of what it will run.",
    )
    environment = forms.ModelChoiceField(Environment.objects.none(), to_field_name="slug")
    provider = forms.ModelChoiceField(Provider.objects.none(), to_field_name="slug")
    name = forms.CharField(max_length=160)
    role = forms.ModelChoiceField(RoleDefinition.objects.none(), to_field_name="slug", required=False)
    cost_center = forms.CharField(max_length=80, required=False, label="Cost centre")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, rows in (
            ("environment", Environment.objects.order_by("position")),
            ("provider", Provider.objects.order_by("slug")),
            ("role", RoleDefinition.objects.order_by("slug")),
        ):
            if name in self.fields:
                self.fields[name].queryset = visible(rows, self.actor, Right.READ_DIRECTORY)  # type: ignore[attr-defined]

    def clean_version(self) -> AgentVersion:
        field: Any = self.fields["version"]
        found: AgentVersion = field.found(self.cleaned_data["version"], self.actor)
        return found

    def judge(self, cleaned: dict[str, Any]) -> list[Problem]:
        return provisioning_problems(**cleaned)


class SpawnForm(ProvisionForm):
    """A child of an instance; what is left out is the parent's."""

    per_day = forms.DecimalField(
        required=False,
        min_value=Decimal("0.000001"),
        max_digits=18,
        decimal_places=6,
        label="Budget a day",
        help_text="At most what its parent has left today. Empty: it draws on its parent's.",
    )
    currency = forms.RegexField("^[A-Z]{3}$", required=False, initial="USD", max_length=3)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        amount, currency = cleaned.pop("per_day", None), cleaned.pop("currency", "")
        if amount is not None and not currency:
            self.add_error("currency", "Say in which currency.")
        cleaned["budget"] = Budget(amount, currency) if amount is not None else None
        return cleaned

    def __init__(self, *args: Any, grants: bool, **kwargs: Any) -> None:
        """`grants`: whether the actor may give the child a budget of its own."""
        super().__init__(*args, **kwargs)
        if not grants:
            del self.fields["per_day"], self.fields["currency"]
        for name in ("environment", "provider"):
            self.fields[name].required = False
            self.fields[name].help_text = "Empty: where its parent is."
        self.fields[
            "role"
        ].help_text = "Empty: its parent's, for a child of the same agent; none for another's."


class A2ACardForm(ReasonForm):
    """Where the agent answers: a card must say so, and the directory does not keep it."""

    interfaces = forms.CharField(
        label="Addresses",
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "https://agents.example.com/refunds JSONRPC"}),
        help_text=f"One a line: an address, and its binding ({', '.join(BINDINGS)}; left out: {BINDINGS[0]}).",
    )

    def clean_interfaces(self) -> list[Interface]:
        found = []
        for line in str(self.cleaned_data["interfaces"]).splitlines():
            words = line.split()
            if len(words) > 2:
                raise ValidationError(f"“{line.strip()[:80]}” is not an address and a binding.")
            if words:
                found.append(Interface(*words))
        return found
