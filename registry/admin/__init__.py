"""The directory in the second workplace: every noun with object-level rights, every write through a service."""

from .agents import AgentTemplateAdmin, AgentVersionAdmin, GenomeAdmin, PromptAdmin
from .evidence import VersionEvidenceAdmin
from .fleet import AgentInstanceAdmin, KeyScopeAdmin
from .places import (
    DeploymentSlotAdmin,
    EnvironmentAdmin,
    ProjectAdmin,
    ProviderAdmin,
    RoleDefinitionAdmin,
)
from .reasoned import ReadOnlyInline, ReasonedAdmin
from .releases import ReleaseExceptionAdmin, RollbackAdmin, RolloutAdmin
from .rules import DirectoryRulesAdmin

__all__ = [
    "AgentInstanceAdmin",
    "AgentTemplateAdmin",
    "AgentVersionAdmin",
    "DeploymentSlotAdmin",
    "DirectoryRulesAdmin",
    "EnvironmentAdmin",
    "GenomeAdmin",
    "KeyScopeAdmin",
    "ProjectAdmin",
    "PromptAdmin",
    "ProviderAdmin",
    "ReadOnlyInline",
    "ReasonedAdmin",
    "ReleaseExceptionAdmin",
    "RoleDefinitionAdmin",
    "RollbackAdmin",
    "RolloutAdmin",
    "VersionEvidenceAdmin",
]
