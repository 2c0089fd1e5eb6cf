"""The directory in the second workplace: every noun with object-level rights, every write through a service."""

from .agents import AgentTemplateAdmin, AgentVersionAdmin, GenomeAdmin, PromptAdmin
from .approvals import VersionApprovalAdmin
from .evidence import VersionEvidenceAdmin
from .exchange import CardKeySourceAdmin, TableImportAdmin
from .fleet import AgentInstanceAdmin, KeyScopeAdmin
from .integrity import IntegrityFindingAdmin, IntegritySweepAdmin
from .places import (
    DeploymentSlotAdmin,
    EnvironmentAdmin,
    ProjectAdmin,
    ProviderAdmin,
)
from .reasoned import ReadOnlyInline, ReasonedAdmin
from .releases import ReleaseExceptionAdmin, RollbackAdmin, RolloutAdmin
from .roles import RoleAssignmentAdmin, RoleDefinitionAdmin, SuccessorAdmin
from .rules import DirectoryRulesAdmin

__all__ = [
    "AgentInstanceAdmin",
    "AgentTemplateAdmin",
    "AgentVersionAdmin",
    "CardKeySourceAdmin",
    "DeploymentSlotAdmin",
    "DirectoryRulesAdmin",
    "EnvironmentAdmin",
    "GenomeAdmin",
    "IntegrityFindingAdmin",
    "IntegritySweepAdmin",
    "KeyScopeAdmin",
    "ProjectAdmin",
    "PromptAdmin",
    "ProviderAdmin",
    "ReadOnlyInline",
    "ReasonedAdmin",
    "ReleaseExceptionAdmin",
    "RoleAssignmentAdmin",
    "RoleDefinitionAdmin",
    "RollbackAdmin",
    "RolloutAdmin",
    "SuccessorAdmin",
    "TableImportAdmin",
    "VersionApprovalAdmin",
    "VersionEvidenceAdmin",
]
