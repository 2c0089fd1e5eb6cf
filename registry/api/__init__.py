"""`/api/v1/registry/…`: the directory for machines."""

from django.urls import path
from rest_framework import routers

from registry.api.directory import (
    GenomeSchema,
    GenomeViewSet,
    ImportAgentCard,
    ImportGenome,
    PromptViewSet,
    TemplateViewSet,
    VersionViewSet,
)
from registry.api.evidence import EvidenceViewSet
from registry.api.fleet import (
    EnvironmentViewSet,
    Heartbeat,
    InstanceViewSet,
    ProviderViewSet,
    RoleViewSet,
    SlotViewSet,
)
from registry.api.history import FleetAtViewSet
from registry.api.releases import ExceptionViewSet, RollbackViewSet, RolloutViewSet, SlotAssignment

router = routers.SimpleRouter()
for noun, viewset in (
    ("templates", TemplateViewSet),
    ("versions", VersionViewSet),
    ("genomes", GenomeViewSet),
    ("prompts", PromptViewSet),
    ("evidence", EvidenceViewSet),
    ("instances", InstanceViewSet),
    ("slots", SlotViewSet),
    ("rollouts", RolloutViewSet),
    ("rollbacks", RollbackViewSet),
    ("exceptions", ExceptionViewSet),
    ("roles", RoleViewSet),
    ("environments", EnvironmentViewSet),
    ("providers", ProviderViewSet),
):
    router.register(noun, viewset, basename=noun)

urlpatterns = [
    path("heartbeat/", Heartbeat.as_view(), name="heartbeat"),
    path("slots/<slt:pk>/assignment/", SlotAssignment.as_view(), name="slot-assignment"),
    path("imports/genome/", ImportGenome.as_view(), name="import-genome"),
    path("imports/agent-card/", ImportAgentCard.as_view(), name="import-agent-card"),
    path("fleet-at/", FleetAtViewSet.as_view({"get": "list"}), name="fleet-at"),
    path(
        "fleet-at/changed/",
        FleetAtViewSet.as_view({"get": "changed"}, pagination_class=None, filterset_class=None),
        name="fleet-at-changed",
    ),
    path("genome-schema/", GenomeSchema.as_view(), name="genome-schema"),
    *router.urls,
]
