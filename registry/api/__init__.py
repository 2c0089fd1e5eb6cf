"""`/api/v1/registry/…`: the directory for machines."""

from django.urls import path
from rest_framework import routers

from registry.api.acts import ActViewSet
from registry.api.assignment import SlotAssignment
from registry.api.bulk import BulkInstances, BulkTemplates
from registry.api.card_keys import CardKeyViewSet
from registry.api.directory import (
    GenomeSchema,
    GenomeViewSet,
    PromptViewSet,
    TemplateViewSet,
    VersionViewSet,
)
from registry.api.draining import DrainingViewSet
from registry.api.environments import EnvironmentViewSet
from registry.api.evidence import EvidenceViewSet
from registry.api.fleet import (
    Heartbeat,
    InstanceViewSet,
    ProviderViewSet,
    SlotViewSet,
)
from registry.api.handovers import HandoverViewSet
from registry.api.history import FleetAtViewSet
from registry.api.imports import (
    ImportAgentCard,
    ImportBom,
    ImportGenome,
    ImportRecord,
    ImportServer,
)
from registry.api.integrity import FindingViewSet, SweepViewSet
from registry.api.projects import ProjectViewSet
from registry.api.releases import ExceptionViewSet, RollbackViewSet, RolloutViewSet
from registry.api.roles import RoleAssignmentViewSet, RoleViewSet
from registry.api.rules import Rules
from registry.api.tables import TableImportViewSet
from registry.api.uses import UsesViewSet

router = routers.SimpleRouter()
for noun, viewset in (
    ("templates", TemplateViewSet),
    ("versions", VersionViewSet),
    ("genomes", GenomeViewSet),
    ("prompts", PromptViewSet),
    ("evidence", EvidenceViewSet),
    ("uses", UsesViewSet),
    ("instances", InstanceViewSet),
    ("slots", SlotViewSet),
    ("rollouts", RolloutViewSet),
    ("rollbacks", RollbackViewSet),
    ("handovers", HandoverViewSet),
    ("exceptions", ExceptionViewSet),
    ("roles", RoleViewSet),
    ("assignments", RoleAssignmentViewSet),
    ("environments", EnvironmentViewSet),
    ("providers", ProviderViewSet),
    ("card-keys", CardKeyViewSet),
    ("table-imports", TableImportViewSet),
    ("acts", ActViewSet),
    ("projects", ProjectViewSet),
    ("sweeps", SweepViewSet),
    ("findings", FindingViewSet),
):
    router.register(noun, viewset, basename=noun)

urlpatterns = [
    path("heartbeat/", Heartbeat.as_view(), name="heartbeat"),
    path("slots/<slt:pk>/assignment/", SlotAssignment.as_view(), name="slot-assignment"),
    path("imports/genome/", ImportGenome.as_view(), name="import-genome"),
    path("imports/agent-card/", ImportAgentCard.as_view(), name="import-agent-card"),
    path("imports/cyclonedx/", ImportBom.as_view(), name="import-cyclonedx"),
    path("imports/mcp-server/", ImportServer.as_view(), name="import-mcp-server"),
    path("imports/oasf/", ImportRecord.as_view(), name="import-oasf"),
    path("bulk/instances/", BulkInstances.as_view(), name="bulk-instances"),
    path("bulk/templates/", BulkTemplates.as_view(), name="bulk-templates"),
    path("draining/", DrainingViewSet.as_view({"get": "list"}), name="draining"),
    path("fleet-at/", FleetAtViewSet.as_view({"get": "list"}), name="fleet-at"),
    path(
        "fleet-at/changed/",
        FleetAtViewSet.as_view({"get": "changed"}, pagination_class=None, filterset_class=None),
        name="fleet-at-changed",
    ),
    path("rules/", Rules.as_view(), name="rules"),
    path("genome-schema/", GenomeSchema.as_view(), name="genome-schema"),
    *router.urls,
]
