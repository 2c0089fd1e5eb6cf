"""The directory: environments, providers, templates, versions and their genomes, instances, slots."""

from .agents import (
    AgentTemplate,
    AgentVersion,
    Dependency,
    Genome,
    Ownership,
    Prompt,
    TemplateGroupGrant,
    TemplateUserGrant,
    VersionParent,
)
from .bulk import BulkRow, BulkRun
from .evidence import VersionEvidence
from .history import Observation
from .instances import AgentInstance, Heartbeat, InstanceInterval, InstanceStatus, KeyScope
from .places import (
    Environment,
    EnvironmentGroupGrant,
    EnvironmentUserGrant,
    Project,
    Provider,
    ProviderGroupGrant,
    ProviderUserGrant,
)
from .rules import DirectoryRules
from .slots import DeploymentSlot, RoleDefinition, SlotBinding
from .words import InstanceWord, begins, words_of

__all__ = [
    "AgentInstance",
    "AgentTemplate",
    "AgentVersion",
    "BulkRow",
    "BulkRun",
    "Dependency",
    "DeploymentSlot",
    "DirectoryRules",
    "Environment",
    "EnvironmentGroupGrant",
    "EnvironmentUserGrant",
    "Genome",
    "Heartbeat",
    "InstanceInterval",
    "InstanceStatus",
    "InstanceWord",
    "KeyScope",
    "Observation",
    "Ownership",
    "Project",
    "Prompt",
    "Provider",
    "ProviderGroupGrant",
    "ProviderUserGrant",
    "RoleDefinition",
    "SlotBinding",
    "TemplateGroupGrant",
    "TemplateUserGrant",
    "VersionEvidence",
    "VersionParent",
    "begins",
    "words_of",
]
