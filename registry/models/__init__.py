"""The directory: environments, providers, templates, versions and their genomes, instances, slots."""

from .agents import (
    MAX_PROMPT_BYTES,
    AgentTemplate,
    AgentVersion,
    Genome,
    Ownership,
    Prompt,
    TemplateGroupGrant,
    TemplateUserGrant,
    VersionParent,
)
from .approvals import ApprovalWithdrawal, VersionApproval
from .bulk import BulkRow, BulkRun
from .counts import LiveCount
from .draining import DrainRound
from .evidence import VersionEvidence
from .exchange import OUTCOMES, CardKeySource, TableImport
from .handovers import Handover
from .history import Observation
from .instances import AgentInstance, Heartbeat, InstanceInterval, InstanceStatus, KeyScope
from .integrity import IntegrityFinding, IntegritySweep, recorded_genome
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
from .roles import RoleAssignment, RoleDefinition, Successor
from .rules import DirectoryRules
from .slots import DeploymentSlot, SlotBinding, go_back_to
from .spawn import SpawnTerm
from .uses import Dependency, Thing
from .words import InstanceLabel, InstanceWord, begins, words_of

__all__ = [
    "MAX_PROMPT_BYTES",
    "OUTCOMES",
    "AgentInstance",
    "AgentTemplate",
    "AgentVersion",
    "ApprovalWithdrawal",
    "BulkRow",
    "BulkRun",
    "CardKeySource",
    "Dependency",
    "DeploymentSlot",
    "DirectoryRules",
    "DrainRound",
    "Environment",
    "EnvironmentGroupGrant",
    "EnvironmentUserGrant",
    "Genome",
    "Handover",
    "Heartbeat",
    "InstanceInterval",
    "InstanceLabel",
    "InstanceStatus",
    "InstanceWord",
    "IntegrityFinding",
    "IntegritySweep",
    "KeyScope",
    "LiveCount",
    "Observation",
    "Ownership",
    "Project",
    "Prompt",
    "Provider",
    "ProviderGroupGrant",
    "ProviderUserGrant",
    "ReleaseException",
    "RoleAssignment",
    "RoleDefinition",
    "Rollback",
    "Rollout",
    "RolloutSlot",
    "RolloutStep",
    "SlotBinding",
    "SpawnTerm",
    "Successor",
    "TableImport",
    "TemplateGroupGrant",
    "TemplateUserGrant",
    "Thing",
    "VersionApproval",
    "VersionEvidence",
    "VersionParent",
    "begins",
    "go_back_to",
    "recorded_genome",
    "words_of",
]
