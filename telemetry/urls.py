"""Pages of the incident center and of telemetry."""

from django.urls import path, register_converter

from arm.ids import converter

from . import views

register_converter(converter("inc"), "inc")

app_name = "telemetry"
urlpatterns = [
    path("incidents/", views.IncidentList.as_view(), name="incident_list"),
    path("incidents/open/", views.OpenIncident.as_view(), name="incident_open"),
    path("incidents/<inc:pk>/", views.IncidentDetail.as_view(), name="incident_detail"),
    path("incidents/<inc:pk>/triage/", views.TriageIncident.as_view(), name="incident_triage"),
    path("incidents/<inc:pk>/mitigate/", views.MitigateIncident.as_view(), name="incident_mitigate"),
    path("incidents/<inc:pk>/resolve/", views.ResolveIncident.as_view(), name="incident_resolve"),
    path("incidents/<inc:pk>/review/", views.ReviewIncident.as_view(), name="incident_review"),
    path("incidents/<inc:pk>/reopen/", views.ReopenIncident.as_view(), name="incident_reopen"),
    path("incidents/<inc:pk>/assign/", views.AssignIncident.as_view(), name="incident_assign"),
    path("incidents/<inc:pk>/note/", views.AddNote.as_view(), name="incident_note"),
]
