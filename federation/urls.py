"""Addresses of the federation's pages."""

from django.urls import path, register_converter

from arm.ids import converter

from . import views

for prefix in ("pcl", "cmd", "snp"):
    register_converter(converter(prefix), prefix)

app_name = "federation"
urlpatterns = [
    path("clients/", views.ClientList.as_view(), name="client_list"),
    path("clients/<pcl:pk>/", views.ClientDetail.as_view(), name="client_detail"),
    path("clients/<pcl:pk>/approve/", views.ApproveClient.as_view(), name="client_approve"),
    path("clients/<pcl:pk>/revoke/", views.RevokeClient.as_view(), name="client_revoke"),
    path("providers/<prov:pk>/invite/", views.InviteProvider.as_view(), name="provider_invite"),
    path("inventories/<snp:pk>/take/", views.ReleaseSnapshot.as_view(), name="snapshot_release"),
    path("commands/", views.CommandList.as_view(), name="command_list"),
    path("commands/<cmd:pk>/", views.CommandDetail.as_view(), name="command_detail"),
]
