"""The console's pages of the directory."""

from registry.views.instances import (
    InstanceDetail,
    InstanceList,
    IssueWorkloadToken,
    MoveInstance,
    ProvisionInstance,
    RequestRelease,
)
from registry.views.places import (
    BindSlot,
    EnvironmentCreate,
    EnvironmentDetail,
    EnvironmentList,
    ProviderCreate,
    ProviderDetail,
    ProviderList,
    RoleCreate,
    RoleList,
    SlotCreate,
    SlotDetail,
    SlotList,
)
from registry.views.rules import ProfileSettings
from registry.views.templates import (
    TemplateCreate,
    TemplateDetail,
    TemplateEdit,
    TemplateList,
    TemplateOwners,
    TemplateRisk,
)
from registry.views.uses import UsesList
from registry.views.versions import (
    GenomeDownload,
    ImportVersion,
    MoveVersion,
    SaveGenome,
    VersionDetail,
    VersionDiff,
    VersionList,
)

__all__ = [
    "BindSlot",
    "EnvironmentCreate",
    "EnvironmentDetail",
    "EnvironmentList",
    "GenomeDownload",
    "ImportVersion",
    "InstanceDetail",
    "InstanceList",
    "IssueWorkloadToken",
    "MoveInstance",
    "MoveVersion",
    "ProfileSettings",
    "ProviderCreate",
    "ProviderDetail",
    "ProviderList",
    "ProvisionInstance",
    "RequestRelease",
    "RoleCreate",
    "RoleList",
    "SaveGenome",
    "SlotCreate",
    "SlotDetail",
    "SlotList",
    "TemplateCreate",
    "TemplateDetail",
    "TemplateEdit",
    "TemplateList",
    "TemplateOwners",
    "TemplateRisk",
    "UsesList",
    "VersionDetail",
    "VersionDiff",
    "VersionList",
]
