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
from .releases import ReleaseException, Rollback, Rollout, RolloutSlot, RolloutStep
from .rules import DirectoryRules
from .slots import DeploymentSlot, RoleDefinition, SlotBinding

__all__ = [
    "AgentInstance",
    "AgentTemplate",
    "AgentVersion",
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
    "KeyScope",
    "Observation",
    "Ownership",
    "Project",
    "Prompt",
    "Provider",
    "ProviderGroupGrant",
    "ProviderUserGrant",
    "ReleaseException",
    "RoleDefinition",
    "Rollback",
    "Rollout",
    "RolloutSlot",
    "RolloutStep",
    "SlotBinding",
    "TemplateGroupGrant",
    "TemplateUserGrant",
    "VersionEvidence",
    "VersionParent",
]
