"""How rows of the directory look in answers, and what requests may say."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from arm import clock
from arm.api import TypeIDField
from arm.models import TenantRow
from registry import genome
from registry.lifecycle import ALLOWS, InstanceState
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
from registry.queries import left_behind

from .asked import (
    BindIn,
    EnvironmentIn,
    HeartbeatIn,
    ImportIn,
    MoveInstanceIn,
    MoveVersionIn,
    OwnersIn,
    PromptIn,
    ProviderIn,
    ProvisionIn,
    Reasoned,
    RebindIn,
    SaveGenomeIn,
    SlotIn,
    SuccessorsIn,
    TemplateChange,
    TemplateIn,
    VersionIn,
)
from .shown import also_shown, also_shows, represent

__all__ = [
    "API",
    "BindIn",
    "ChangeOut",
    "DesiredOut",
    "EnvironmentIn",
    "EnvironmentOut",
    "GenomeOut",
    "HeartbeatIn",
    "HeartbeatOut",
    "ImportIn",
    "ImportedOut",
    "InstanceOut",
    "MoveInstanceIn",
    "MoveVersionIn",
    "ObservedOut",
    "Out",
    "OwnersIn",
    "PromptIn",
    "PromptOut",
    "ProviderIn",
    "ProviderOut",
    "ProvisionIn",
    "Reasoned",
    "RebindIn",
    "RoleOut",
    "SaveGenomeIn",
    "SlotIn",
    "SlotOut",
    "StepOut",
    "SuccessorsIn",
    "SuccessorsOut",
    "TemplateChange",
    "TemplateIn",
    "TemplateOut",
    "VersionIn",
    "VersionOut",
    "also_shown",
    "also_shows",
    "genome_schema",
    "represent",
]
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
    project = serializers.CharField(
        source="project_seen",
        default=None,
        allow_null=True,
        help_text="Short name; null without a project, and for who may not see it.",
    )
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

    forced_by = TypeIDField("inc", allow_null=True, help_text="The incident that it was deprecated for.")

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
            *(
                "rolled_back",
                "rebind_by",
                "forced_by",
                "genome",
                "parents",
                "created_by",
                "submitted_by",
                "created_at",
            ),
        )

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_parents(self, row: AgentVersion) -> list[str]:
        field = TypeIDField("ver")
        return [field.to_representation(edge.parent_id) for edge in row.parents.all()]


class DesiredOut(serializers.Serializer[Any]):
    state = serializers.ChoiceField(InstanceState.choices)
    since = serializers.DateTimeField(source="state_since")
    generation = serializers.IntegerField()
    leaving = serializers.BooleanField(
        help_text="It drains because it was replaced or its slot left its version: ARM retires it by itself."
    )
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
    role = TypeIDField("rol", source="role_id", allow_null=True)
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
                "role",
                "parent",
                "depth",
            ),
            *("desired", "observed", "adopted", "cost_center", "labels", "created_at"),
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
            *(
                "current_version",
                "previous_version",
                "canary_version",
                "canary_share",
                "generation",
                "closed_at",
            ),
        )


class BoundOut(SlotOut):
    """A slot that was just bound."""

    instances_left = serializers.SerializerMethodField(
        help_text="Live instances of the slot on another version, which a binding moves not: a rollout replaces them."
    )

    class Meta(SlotOut.Meta):
        fields = (*SlotOut.Meta.fields, "instances_left")  # type: ignore[assignment]

    def get_instances_left(self, slot: DeploymentSlot) -> int:
        return left_behind(slot)


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
        fields = (
            *("id", "url", "slug", "name", "kind", "description", "region", "terms", "heartbeat_seconds"),
            *("closed_at", "created_at"),
        )


class RoleOut(Out):
    noun = "roles"
    id = TypeIDField("rol", source="pk")

    class Meta:
        model = RoleDefinition
        fields = (
            *("id", "url", "slug", "name", "purpose", "tier", "risk", "cost_center", "capabilities"),
            *("certifications", "budget_per_day", "budget_per_month", "budget_per_outcome", "currency"),
            *("success_rate", "latency_ms", "availability", "coverage", "failover", "approvals", "revision"),
        )


class PromptOut(Out):
    noun = "prompts"
    id = TypeIDField("prm", source="pk")

    class Meta:
        model = Prompt
        fields = ("id", "url", "digest", "media_type", "size", "created_at")


for _out in (
    *(TemplateOut, VersionOut, GenomeOut, InstanceOut, SlotOut),
    *(EnvironmentOut, ProviderOut, RoleOut, PromptOut),
):
    also_shown(_out)


# requests


class SuccessorsOut(serializers.Serializer[Any]):
    """User names in order; `ownerless` where nobody answers for the agent."""

    successors = serializers.ListField(child=serializers.CharField())
    ownerless = serializers.BooleanField()


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


class HeartbeatOut(serializers.Serializer[Any]):
    """What the instance should be and do, and when it should speak again."""

    id = TypeIDField("ins", source="pk")
    desired = DesiredOut(source="*")
    next_within_s = serializers.IntegerField(source="provider.heartbeat_seconds")
