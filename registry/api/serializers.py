"""How rows of the directory look in answers, and what requests may say."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from arm import clock
from arm.api import StrictSerializer, TypeIDField
from arm.models import TenantRow
from arm.rights import Risk
from registry import genome
from registry.lifecycle import ALLOWS, InstanceState, VersionState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Genome,
    Prompt,
    Provider,
    RoleDefinition,
)

API = "/api/v1/registry"


class Out(serializers.ModelSerializer[Any]):
    """Every representation has the row's identifier and its address."""

    noun = ""
    url = serializers.SerializerMethodField()

    def get_url(self, row: TenantRow) -> str:
        return f"{API}/{self.noun}/{row.typeid}/"


class TemplateOut(Out):
    noun = "templates"
    id = TypeIDField("tpl", source="pk")
    project = serializers.CharField(source="project.slug", default=None, allow_null=True)
    owners = serializers.SerializerMethodField()

    class Meta:
        model = AgentTemplate
        fields = (
            *("id", "url", "slug", "name", "description", "intended_use", "out_of_scope"),
            *("risk", "tags", "project", "cost_center", "owners", "created_at"),
        )

    def get_owners(self, row: AgentTemplate) -> list[str]:
        return sorted(held.user.username for held in row.ownerships.all() if held.until is None)


class GenomeOut(Out):
    noun = "genomes"
    id = TypeIDField("gen", source="pk")
    template = TypeIDField("tpl", source="template_id")
    complete = serializers.BooleanField()

    class Meta:
        model = Genome
        fields = (
            "id",
            "url",
            "template",
            "digest",
            "complete",
            "missing",
            "completeness",
            "build",
            "created_at",
        )


class VersionOut(Out):
    noun = "versions"
    id = TypeIDField("ver", source="pk")
    template = TypeIDField("tpl", source="template_id")
    template_slug = serializers.CharField(source="template.slug")
    genome = GenomeOut()
    parents = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    submitted_by = serializers.CharField(source="submitted_by.username", default=None, allow_null=True)

    class Meta:
        model = AgentVersion
        fields = (
            *(
                "id",
                "url",
                "template",
                "template_slug",
                "number",
                "label",
                "description",
                "state",
                "state_since",
            ),
            *("rolled_back", "rebind_by", "genome", "parents", "created_by", "submitted_by", "created_at"),
        )

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_parents(self, row: AgentVersion) -> list[str]:
        field = TypeIDField("ver")
        return [field.to_representation(edge.parent_id) for edge in row.parents.all()]


class DesiredOut(serializers.Serializer[Any]):
    state = serializers.ChoiceField(InstanceState.choices)
    since = serializers.DateTimeField(source="state_since")
    generation = serializers.IntegerField()
    allows = serializers.SerializerMethodField()

    @extend_schema_field(serializers.DictField(child=serializers.BooleanField()))
    def get_allows(self, row: AgentInstance) -> dict[str, bool]:
        return asdict(ALLOWS[InstanceState(row.state)])


class ObservedOut(serializers.Serializer[Any]):
    state = serializers.CharField(source="status.state")
    generation = serializers.IntegerField(source="status.generation", allow_null=True)
    reported_at = serializers.DateTimeField(source="status.reported_at", allow_null=True)
    heartbeat_at = serializers.DateTimeField(source="status.heartbeat_at", allow_null=True)
    telemetry_at = serializers.DateTimeField(source="status.telemetry_at", allow_null=True)
    stale = serializers.SerializerMethodField()

    def get_stale(self, row: AgentInstance) -> bool:
        return row.is_stale(clock.now())


class InstanceOut(Out):
    noun = "instances"
    id = TypeIDField("ins", source="pk")
    template = TypeIDField("tpl", source="template_id")
    version = TypeIDField("ver", source="version_id")
    environment = serializers.CharField(source="environment.slug")
    provider = serializers.CharField(source="provider.slug")
    slot = TypeIDField("slt", source="slot_id", allow_null=True)
    parent = TypeIDField("ins", source="parent_id", allow_null=True)  # type: ignore[assignment]
    desired = DesiredOut(source="*")
    observed = ObservedOut(source="*")

    class Meta:
        model = AgentInstance
        fields = (
            *(
                "id",
                "url",
                "name",
                "template",
                "version",
                "environment",
                "provider",
                "slot",
                "parent",
                "depth",
            ),
            *("desired", "observed", "cost_center", "labels", "created_at"),
        )


class SlotOut(Out):
    noun = "slots"
    id = TypeIDField("slt", source="pk")
    environment = serializers.CharField(source="environment.slug")
    role = serializers.CharField(source="role.slug")
    provider = serializers.CharField(source="provider.slug")
    current_version = TypeIDField("ver", source="current_version_id", allow_null=True)
    previous_version = TypeIDField("ver", source="previous_version_id", allow_null=True)
    canary_version = TypeIDField("ver", source="canary_version_id", allow_null=True)

    class Meta:
        model = DeploymentSlot
        fields = (
            *("id", "url", "environment", "role", "provider", "ordinal"),
            *("current_version", "previous_version", "canary_version", "canary_share", "generation"),
        )


class EnvironmentOut(Out):
    noun = "environments"
    id = TypeIDField("env", source="pk")

    class Meta:
        model = Environment
        fields = (
            *("id", "url", "slug", "name", "position", "production", "risk_default"),
            *("retention_days", "aggregate_days", "cost_tags", "created_at"),
        )


class ProviderOut(Out):
    noun = "providers"
    id = TypeIDField("prov", source="pk")

    class Meta:
        model = Provider
        fields = ("id", "url", "slug", "name", "kind", "description", "heartbeat_seconds", "created_at")


class RoleOut(Out):
    noun = "roles"
    id = TypeIDField("rol", source="pk")

    class Meta:
        model = RoleDefinition
        fields = (
            *("id", "url", "slug", "name", "purpose", "tier", "risk", "cost_center", "capabilities"),
            *("certifications", "budget_per_day", "budget_per_month", "budget_per_outcome", "currency"),
            *("success_rate", "latency_ms", "availability", "coverage", "failover", "revision"),
        )


class PromptOut(Out):
    noun = "prompts"
    id = TypeIDField("prm", source="pk")

    class Meta:
        model = Prompt
        fields = ("id", "url", "digest", "media_type", "size", "created_at")


_OUT: dict[type[TenantRow], type[Out]] = {
    out.Meta.model: out
    for out in (
        *(TemplateOut, VersionOut, GenomeOut, InstanceOut, SlotOut),
        *(EnvironmentOut, ProviderOut, RoleOut, PromptOut),
    )
}


def also_shown(out: type[Out]) -> type[Out]:
    """Rows of this noun, too, are shown where a duplicate is answered: for serializers of other modules."""
    _OUT[out.Meta.model] = out
    return out


def represent(row: TenantRow) -> Any:
    """Any row of the directory as its own endpoint would answer it."""
    return _OUT[type(row)](row).data


# requests


class Reasoned(StrictSerializer):
    """Every change of governance is made for a reason."""

    reason = serializers.CharField(max_length=500)


class TemplateIn(Reasoned):
    slug = serializers.SlugField(max_length=80)
    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    intended_use = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    out_of_scope = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    risk = serializers.ChoiceField(Risk.choices, required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=60), max_length=32, required=False)
    cost_center = serializers.CharField(max_length=80, required=False, allow_blank=True)
    owners = serializers.ListField(child=serializers.CharField(max_length=150), max_length=50, required=False)


class TemplateChange(TemplateIn):
    slug = None  # type: ignore[assignment]  # the short name does not change
    owners = None  # type: ignore[assignment]  # owners have a verb of their own
    name = serializers.CharField(max_length=200, required=False)


class OwnersIn(Reasoned):
    owners = serializers.ListField(child=serializers.CharField(max_length=150), min_length=1, max_length=50)


class SuccessorsIn(Reasoned):
    successors = serializers.ListField(child=serializers.CharField(max_length=150), max_length=50)


class SuccessorsOut(serializers.Serializer[Any]):
    """User names in order; `ownerless` where nobody answers for the agent."""

    successors = serializers.ListField(child=serializers.CharField())
    ownerless = serializers.BooleanField()


class VersionIn(Reasoned):
    template = TypeIDField("tpl")
    genome = serializers.DictField()
    label = serializers.CharField(max_length=80, required=False, allow_blank=True)  # type: ignore[assignment]
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    parents = serializers.ListField(child=TypeIDField("ver"), max_length=16, required=False)


class RebindIn(Reasoned):
    by = serializers.DateTimeField()


class SaveGenomeIn(Reasoned):
    genome = serializers.DictField()


class MoveVersionIn(Reasoned):
    to = serializers.ChoiceField(VersionState.choices)


class ImportIn(StrictSerializer):
    """The words around an imported file: query parameters, or the fields of a multipart form."""

    reason = serializers.CharField(max_length=500, default="Imported by the API.")
    template = TypeIDField("tpl", required=False)
    version = TypeIDField("ver", required=False)
    name = serializers.CharField(max_length=200, required=False, default="")
    label = serializers.CharField(max_length=80, required=False, default="")  # type: ignore[assignment]


class ImportedOut(serializers.Serializer[Any]):
    version = VersionOut()
    new_template = serializers.BooleanField()
    notes = serializers.ListField(child=serializers.CharField())
    url = serializers.CharField()


class StepOut(serializers.Serializer[Any]):
    """A move that the lifecycle knows, whether the caller may make it, and every gate's verdict."""

    to = serializers.CharField()
    allowed = serializers.BooleanField()
    ready = serializers.BooleanField()
    verdicts = serializers.ListField(child=serializers.DictField())


class ChangeOut(serializers.Serializer[Any]):
    """One field that differs between two genomes."""

    pointer = serializers.CharField()
    kind = serializers.ChoiceField(["added", "removed", "changed"])
    before = serializers.JSONField()
    after = serializers.JSONField()
    words = serializers.CharField()


def genome_schema() -> dict[str, Any]:
    """The JSON Schema of a genome, as published."""
    return genome.SCHEMA


class ProvisionIn(Reasoned):
    version = TypeIDField("ver")
    environment = serializers.SlugField()
    provider = serializers.SlugField()
    name = serializers.CharField(max_length=160)
    slot = TypeIDField("slt", required=False)
    role = serializers.SlugField(required=False)
    cost_center = serializers.CharField(max_length=80, required=False, allow_blank=True)
    labels = serializers.DictField(child=serializers.CharField(max_length=200), required=False)


class MoveInstanceIn(Reasoned):
    to = serializers.ChoiceField(InstanceState.choices)


class HeartbeatIn(StrictSerializer):
    state = serializers.ChoiceField(InstanceState.choices, required=False)
    generation = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False)
    observed_at = serializers.DateTimeField(required=False, help_text="Since when it is in this state.")


class HeartbeatOut(serializers.Serializer[Any]):
    """What the instance should be and do, and when it should speak again."""

    id = TypeIDField("ins", source="pk")
    desired = DesiredOut(source="*")
    next_within_s = serializers.IntegerField(source="provider.heartbeat_seconds")


class SlotIn(Reasoned):
    environment = serializers.SlugField()
    role = serializers.SlugField(max_length=80)
    provider = serializers.SlugField()
    ordinal = serializers.IntegerField(min_value=1, max_value=32_767, required=False)


class BindIn(Reasoned):
    version = TypeIDField("ver")


class EnvironmentIn(Reasoned):
    slug = serializers.SlugField(max_length=40)
    name = serializers.CharField(max_length=120)
    production = serializers.BooleanField(required=False)
    risk_default = serializers.ChoiceField(Risk.choices, required=False)
    retention_days = serializers.IntegerField(min_value=1, max_value=3650, required=False)
    cost_tags = serializers.DictField(child=serializers.CharField(max_length=200), required=False)


class ProviderIn(Reasoned):
    slug = serializers.SlugField(max_length=60)
    name = serializers.CharField(max_length=160)
    kind = serializers.ChoiceField(Provider.Kind.choices, required=False)
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    heartbeat_seconds = serializers.IntegerField(min_value=5, max_value=86_400, required=False)


class PromptIn(Reasoned):
    content = serializers.CharField(max_length=1024 * 1024, trim_whitespace=False)
    media_type = serializers.CharField(max_length=100, default="text/plain; charset=utf-8")
