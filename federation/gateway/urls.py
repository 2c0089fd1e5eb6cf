"""Addresses of the protocol. None ends with a slash, and none redirects."""

from django.urls import path, register_converter

from arm.ids import converter

from . import control, doors, inventory

# Names of their own: the gateway has no pages that would register an instance's, and no name is registered twice.
for prefix in ("fse", "cmd", "snp", "ins"):
    register_converter(converter(prefix), f"afp_{prefix}")

urlpatterns = [
    path(".well-known/arm-federation", doors.Discovery.as_view()),
    path(".well-known/oauth-authorization-server", doors.AuthorizationServer.as_view()),
    path(".well-known/jwks.json", doors.Keys.as_view()),
    path("oauth/token", doors.Token.as_view()),
    path("federation/v1/register", doors.Register.as_view()),
    path("federation/v1/sessions", control.Sessions.as_view()),
    path("federation/v1/sessions/<afp_fse:pk>", control.Session.as_view()),
    path("federation/v1/sessions/<afp_fse:pk>/heartbeat", control.Heartbeat.as_view()),
    path("federation/v1/inventory/snapshots", inventory.Snapshots.as_view()),
    path("federation/v1/inventory/snapshots/<afp_snp:pk>/pages/<int:number>", inventory.Page.as_view()),
    path("federation/v1/inventory/snapshots/<afp_snp:pk>/commit", inventory.Commit.as_view()),
    path("federation/v1/desired", control.DesiredList.as_view()),
    path("federation/v1/desired/<afp_ins:pk>", control.DesiredOne.as_view()),
    path("federation/v1/poll", control.Poll.as_view()),
    path("federation/v1/commands/<afp_cmd:pk>/status", control.CommandStatus.as_view()),
    path("federation/v1/attestations", control.Attestations.as_view()),
]
