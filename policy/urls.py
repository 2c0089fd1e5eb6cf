"""Addresses of policy's pages: /approvals/, /stop/ and /policy/."""

from django.urls import path, register_converter
from django.views.generic import RedirectView

from arm.ids import converter
from policy import views

for prefix in ("pol", "pov", "bnd", "trk", "apr", "apo", "pos", "rsq", "dec"):
    register_converter(converter(prefix), prefix)

app_name = "policy"
urlpatterns = [
    path("approvals/", views.ApprovalList.as_view(), name="approval_list"),
    path("approvals/waiting/", views.ApprovalWaiting.as_view(), name="approval_waiting"),
    path("approvals/history/", views.ApprovalHistory.as_view(), name="approval_history"),
    path("approvals/<apr:pk>/", views.ApprovalDetail.as_view(), name="approval_detail"),
    path("approvals/<apr:pk>/cancel/", views.CancelApproval.as_view(), name="approval_cancel"),
    path("policy/", RedirectView.as_view(pattern_name="policy:simulator"), name="center"),
    path("policy/simulator/", views.Simulator.as_view(), name="simulator"),
    path("policy/policies/", views.PolicyList.as_view(), name="policy_list"),
    path("policy/policies/new/", views.CreatePolicy.as_view(), name="policy_create"),
    path("policy/policies/<pol:pk>/", views.PolicyDetail.as_view(), name="policy_detail"),
    path("policy/policies/<pol:pk>/draft/", views.DraftVersion.as_view(), name="version_draft"),
    path("policy/versions/<pov:pk>/", views.PolicyVersionDetail.as_view(), name="version_detail"),
    path("policy/versions/<pov:pk>/diff/", views.PolicyVersionDiff.as_view(), name="version_diff"),
    path("policy/versions/<pov:pk>/activate/", views.ActivateVersion.as_view(), name="version_activate"),
    path("policy/versions/<pov:pk>/withdraw/", views.WithdrawVersion.as_view(), name="version_withdraw"),
    path("policy/bindings/", views.BindingList.as_view(), name="binding_list"),
    path("policy/bindings/new/", views.BindPolicy.as_view(), name="binding_create"),
    path("policy/bindings/<bnd:pk>/end/", views.EndBinding.as_view(), name="binding_end"),
    path("policy/tools/", views.ToolCatalogue.as_view(), name="tool_list"),
    path("policy/tools/new/", views.ClassifyTool.as_view(), name="tool_classify"),
    path("policy/tools/<trk:pk>/end/", views.EndToolRisk.as_view(), name="tool_end"),
    path("policy/default/", views.DefaultPolicy.as_view(), name="default_set"),
    path("policy/routes/new/", views.RouteApprovals.as_view(), name="route_create"),
    path("policy/routes/<apo:pk>/end/", views.EndRoute.as_view(), name="route_end"),
    path("policy/decisions/", views.DecisionList.as_view(), name="decision_list"),
    path("policy/decisions/<dec:pk>/", views.DecisionDetail.as_view(), name="decision_detail"),
    path("stop/", views.StopList.as_view(), name="stop_list"),
    path("stop/history/", views.StopHistory.as_view(), name="stop_history"),
    path("stop/new/", views.ChooseStop.as_view(), name="stop_choose"),
    path("stop/preview/", views.PreviewStop.as_view(), name="stop_preview"),
    path("stop/requests/", views.RestrictionList.as_view(), name="restriction_list"),
    path("stop/requests/<rsq:pk>/", views.RestrictionDetail.as_view(), name="restriction_detail"),
    path("stop/requests/<rsq:pk>/confirm/", views.ConfirmRestriction.as_view(), name="restriction_confirm"),
    path("stop/requests/<rsq:pk>/decline/", views.DeclineRestriction.as_view(), name="restriction_decline"),
    path(
        "stop/requests/<rsq:pk>/withdraw/", views.WithdrawRestriction.as_view(), name="restriction_withdraw"
    ),
    path("stop/<pos:pk>/", views.StopDetail.as_view(), name="posture_detail"),
    path("stop/<pos:pk>/lift/", views.LiftStop.as_view(), name="stop_lift"),
    path("stop/<pos:pk>/ask/", views.AskForLift.as_view(), name="stop_ask"),
]
