"""Addresses of the directory's pages."""

from django.urls import path, register_converter

from arm.ids import converter
from registry import views

for prefix in ("tpl", "ver", "ins", "env", "prov", "slt", "rlt", "rbk"):
    register_converter(converter(prefix), prefix)

app_name = "registry"
urlpatterns = [
    path("templates/", views.TemplateList.as_view(), name="template_list"),
    path("templates/new/", views.TemplateCreate.as_view(), name="template_create"),
    path("templates/<tpl:pk>/", views.TemplateDetail.as_view(), name="template_detail"),
    path("templates/<tpl:pk>/edit/", views.TemplateEdit.as_view(), name="template_edit"),
    path("templates/<tpl:pk>/risk/", views.TemplateRisk.as_view(), name="template_risk"),
    path("templates/<tpl:pk>/owners/", views.TemplateOwners.as_view(), name="template_owners"),
    path("versions/", views.VersionList.as_view(), name="version_list"),
    path("versions/import/", views.ImportVersion.as_view(), name="version_import"),
    path("versions/<ver:pk>/", views.VersionDetail.as_view(), name="version_detail"),
    path("versions/<ver:pk>/genome.json", views.GenomeDownload.as_view(), name="version_download"),
    path("versions/<ver:pk>/diff/", views.VersionDiff.as_view(), name="version_diff"),
    path("versions/<ver:pk>/move/", views.MoveVersion.as_view(), name="version_move"),
    path("versions/<ver:pk>/genome/", views.SaveGenome.as_view(), name="version_genome"),
    path("versions/<ver:pk>/card/", views.IssueCard.as_view(), name="card_issue"),
    path("versions/<ver:pk>/a2a/", views.PublishA2ACard.as_view(), name="a2a_publish"),
    path("versions/<ver:pk>/pack/", views.ExportPack.as_view(), name="pack_export"),
    path("evidence/", views.EvidenceList.as_view(), name="evidence_list"),
    path("evidence/<evd:pk>/", views.EvidenceDetail.as_view(), name="evidence_detail"),
    path("evidence/<evd:pk>/retry/", views.RetryEvidence.as_view(), name="evidence_retry"),
    path("evidence/<evd:pk>/<slug:kind>/", views.EvidenceFile.as_view(), name="evidence_file"),
    path("profiles/", views.ProfileSettings.as_view(), name="profiles"),
    path("uses/", views.UsesList.as_view(), name="uses_list"),
    path("fleet/", views.FleetAt.as_view(), name="fleet_at"),
    path("fleet/changed/", views.FleetChanged.as_view(), name="fleet_changed"),
    path("instances/", views.InstanceList.as_view(), name="instance_list"),
    path("instances/new/", views.ProvisionInstance.as_view(), name="instance_provision"),
    path("instances/<ins:pk>/", views.InstanceDetail.as_view(), name="instance_detail"),
    path("instances/<ins:pk>/at/", views.InstancePast.as_view(), name="instance_past"),
    path("instances/<ins:pk>/past/", views.TellPast.as_view(), name="instance_tell"),
    path("instances/<ins:pk>/move/", views.MoveInstance.as_view(), name="instance_move"),
    path("instances/<ins:pk>/release/", views.RequestRelease.as_view(), name="instance_release"),
    path("instances/<ins:pk>/token/", views.IssueWorkloadToken.as_view(), name="instance_token"),
    path("slots/", views.SlotList.as_view(), name="slot_list"),
    path("slots/new/", views.SlotCreate.as_view(), name="slot_create"),
    path("slots/<slt:pk>/", views.SlotDetail.as_view(), name="slot_detail"),
    path("slots/<slt:pk>/bind/", views.BindSlot.as_view(), name="slot_bind"),
    path("slots/<slt:pk>/rollout/", views.PlanRollout.as_view(), name="rollout_plan"),
    path("slots/<slt:pk>/roll-back/", views.RollBackSlot.as_view(), name="slot_roll_back"),
    path("slots/<slt:pk>/exception/", views.GrantException.as_view(), name="exception_grant"),
    path("channels/", views.ChannelBoard.as_view(), name="channel_board"),
    path("rollouts/", views.RolloutList.as_view(), name="rollout_list"),
    path("rollouts/<rlt:pk>/", views.RolloutDetail.as_view(), name="rollout_detail"),
    path("rollouts/<rlt:pk>/start/", views.StartRollout.as_view(), name="rollout_start"),
    path("rollouts/<rlt:pk>/pause/", views.PauseRollout.as_view(), name="rollout_pause"),
    path("rollouts/<rlt:pk>/resume/", views.ResumeRollout.as_view(), name="rollout_resume"),
    path("rollouts/<rlt:pk>/abort/", views.AbortRollout.as_view(), name="rollout_abort"),
    path("rollouts/<rlt:pk>/confirm/", views.ConfirmStep.as_view(), name="rollout_confirm"),
    path("rollbacks/<rbk:pk>/", views.RollbackDetail.as_view(), name="rollback_detail"),
    path("roles/", views.RoleList.as_view(), name="role_list"),
    path("roles/new/", views.RoleCreate.as_view(), name="role_create"),
    path("environments/", views.EnvironmentList.as_view(), name="environment_list"),
    path("environments/new/", views.EnvironmentCreate.as_view(), name="environment_create"),
    path("environments/<env:pk>/", views.EnvironmentDetail.as_view(), name="environment_detail"),
    path("providers/", views.ProviderList.as_view(), name="provider_list"),
    path("providers/new/", views.ProviderCreate.as_view(), name="provider_create"),
    path("providers/<prov:pk>/", views.ProviderDetail.as_view(), name="provider_detail"),
]
