"""The web process: console, admin, API. Apps are named in strings only."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.urls import include, path, register_converter
from drf_spectacular.views import SpectacularAPIView

from arm import views
from arm.ids import converter

for _prefix in ("chg", "rob", "mem", "tea", "key", "evd", "viw"):
    register_converter(converter(_prefix), _prefix)

handler400 = "arm.views.handler400"
handler403 = "arm.views.handler403"
handler404 = "arm.views.handler404"
handler500 = "arm.views.handler500"

urlpatterns = [
    path("", views.Home.as_view(), name="home"),
    path("health/", views.health, name="health"),
    path("ready/", views.ready, name="ready"),
    path("sign-in/", views.SignIn.as_view(), name="login"),
    path("sign-out/", login_not_required(LogoutView.as_view()), name="logout"),
    path("password/", views.ChangePassword.as_view(), name="password_change"),
    path("tenant/", views.ChooseTenant.as_view(), name="choose_tenant"),
    path("changes/", views.ChangeList.as_view(), name="change_list"),
    path("changes/<chg:pk>/", views.ChangeDetail.as_view(), name="change_detail"),
    path("people/", views.MemberList.as_view(), name="member_list"),
    path("people/bind/", views.BindRole.as_view(), name="role_bind"),
    path("people/bindings/<rob:pk>/end/", views.UnbindRole.as_view(), name="role_unbind"),
    path("people/add/", views.AddMember.as_view(), name="member_add"),
    path("people/<mem:pk>/remove/", views.RemoveMember.as_view(), name="member_remove"),
    path("people/<mem:pk>/token/", views.IssueToken.as_view(), name="token_issue"),
    path("people/tokens/<key:pk>/revoke/", views.RevokeToken.as_view(), name="token_revoke"),
    path("people/teams/add/", views.CreateTeam.as_view(), name="team_create"),
    path("people/teams/<tea:pk>/join/", views.JoinTeam.as_view(), name="team_join"),
    path("people/teams/<tea:pk>/leave/", views.LeaveTeam.as_view(), name="team_leave"),
    path("views/", views.ViewList.as_view(), name="view_list"),
    path("views/save/", views.SaveView.as_view(), name="view_save"),
    path("views/<viw:pk>/change/", views.ChangeView.as_view(), name="view_change"),
    path("views/<viw:pk>/default/", views.DefaultViewSet.as_view(), name="view_default"),
    path("views/<viw:pk>/delete/", views.DeleteView.as_view(), name="view_delete"),
    path("search/", views.Search.as_view(), name="search"),
    path("gallery/", views.Gallery.as_view(), name="gallery"),
    path("api/schema", SpectacularAPIView.as_view(), name="api_schema"),
    path("api/v1/people/", include("arm.endpoints.people")),
    path("api/v1/views/", include("arm.endpoints.lists")),
    path("registry/", include("registry.urls")),
    path("", include("registry.urls_a2a")),  # /a2a/, /.well-known/agent-card.json
    path("api/v1/registry/", include("registry.api")),
    path("", include("policy.urls")),  # /approvals/, /stop/, /policy/
    path("api/v1/policy/", include("policy.api")),
    path("", include("telemetry.urls")),
    path("costs/", include("costs.urls")),
    path("api/v1/", include("telemetry.api")),
    path("api/v1/costs/", include("costs.api")),
    path("evaluation/", include("evaluation.urls")),
    path("api/v1/evaluation/", include("evaluation.api")),
    path("", include("evidence.urls")),  # /evidence/, /.well-known/arm-keys.json
    path("api/v1/evidence/", include("evidence.api")),
    path("federation/", include("federation.urls")),
    path("api/v1/federation/", include("federation.api")),
    path("", include("federation.gateway.urls")),  # /federation/v1/, /oauth/token, /.well-known/
    path("admin/", admin.site.urls),
]
