"""Pages of the incident center and of telemetry."""

from django.urls import path, register_converter

from arm.ids import converter

from . import views

register_converter(converter("inc"), "inc")
register_converter(converter("evt"), "evt")
register_converter(converter("qua"), "qua")
register_converter(converter("key"), "ingest_key")

app_name = "telemetry"
urlpatterns = [
    path("incidents/", views.IncidentList.as_view(), name="incident_list"),
    path("incidents/open/", views.OpenIncident.as_view(), name="incident_open"),
    path("incidents/<inc:pk>/", views.IncidentDetail.as_view(), name="incident_detail"),
    path("incidents/<inc:pk>/triage/", views.TriageIncident.as_view(), name="incident_triage"),
    path("incidents/<inc:pk>/mitigate/", views.MitigateIncident.as_view(), name="incident_mitigate"),
    path("incidents/<inc:pk>/roll-back/", views.RollBack.as_view(), name="incident_roll_back"),
    path("incidents/<inc:pk>/deprecate/", views.DeprecateVersion.as_view(), name="incident_deprecate"),
    path("incidents/<inc:pk>/resolve/", views.ResolveIncident.as_view(), name="incident_resolve"),
    path("incidents/<inc:pk>/review/", views.ReviewIncident.as_view(), name="incident_review"),
    path("incidents/<inc:pk>/reopen/", views.ReopenIncident.as_view(), name="incident_reopen"),
    path("incidents/<inc:pk>/assign/", views.AssignIncident.as_view(), name="incident_assign"),
    path("incidents/<inc:pk>/note/", views.AddNote.as_view(), name="incident_note"),
    path("telemetry/events/", views.EventList.as_view(), name="event_list"),
    path("telemetry/events/<evt:pk>/", views.EventDetail.as_view(), name="event_detail"),
    path("telemetry/quarantine/", views.QuarantineList.as_view(), name="quarantine_list"),
    path("telemetry/quarantine/<qua:pk>/", views.QuarantineDetail.as_view(), name="quarantine_detail"),
    path("telemetry/keys/", views.KeyList.as_view(), name="key_list"),
    path("telemetry/keys/new/", views.IssueKey.as_view(), name="key_issue"),
    path("telemetry/keys/<ingest_key:pk>/rotate/", views.RotateKey.as_view(), name="key_rotate"),
    path("telemetry/keys/<ingest_key:pk>/revoke/", views.RevokeKey.as_view(), name="key_revoke"),
]
