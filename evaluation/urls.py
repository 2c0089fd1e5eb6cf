"""Addresses of the pages of evaluation."""

from django.urls import path, register_converter

from arm.ids import converter

from . import views

for prefix in ("sui", "suv", "sas", "eep", "alh", "run", "bsl", "crt", "cty"):
    register_converter(converter(prefix), prefix)

app_name = "evaluation"
urlpatterns = [
    path("suites/", views.SuiteList.as_view(), name="suite_list"),
    path("suites/new/", views.CreateSuite.as_view(), name="suite_create"),
    path("suites/assign/", views.AssignSuite.as_view(), name="suite_assign"),
    path("suites/<sui:pk>/", views.SuiteDetail.as_view(), name="suite_detail"),
    path("suites/<sui:pk>/change/", views.SaveVersion.as_view(), name="suite_change"),
    path("suite-versions/<suv:pk>/", views.SuiteVersionDetail.as_view(), name="suite_version"),
    path("assignments/<sas:pk>/end/", views.EndAssignment.as_view(), name="assignment_end"),
    path("suites/<sui:pk>/capability/", views.DeclareCapability.as_view(), name="suite_capability"),
    path("certifications/", views.CertificationList.as_view(), name="certification_list"),
    path("certifications/issue/", views.IssueCertification.as_view(), name="certification_issue"),
    path("certifications/types/", views.CertificationTypeList.as_view(), name="certification_type_list"),
    path(
        "certifications/types/new/",
        views.CreateCertificationType.as_view(),
        name="certification_type_create",
    ),
    path("certifications/<crt:pk>/revoke/", views.RevokeCertification.as_view(), name="certification_revoke"),
    path("runs/", views.RunList.as_view(), name="run_list"),
    path("runs/start/", views.StartRun.as_view(), name="run_start"),
    path("runs/<run:pk>/", views.RunDetail.as_view(), name="run_detail"),
    path("runs/<run:pk>/results/", views.ResultList.as_view(), name="result_list"),
    path("runs/<run:pk>/baseline/", views.PinBaseline.as_view(), name="baseline_pin"),
    path("baselines/<bsl:pk>/end/", views.EndBaseline.as_view(), name="baseline_end"),
    path("runs/<run:pk>/cancel/", views.CancelRun.as_view(), name="run_cancel"),
    path("endpoints/", views.EndpointList.as_view(), name="endpoint_list"),
    path("endpoints/set/", views.SetEndpoint.as_view(), name="endpoint_set"),
    path("endpoints/<eep:pk>/end/", views.EndEndpoint.as_view(), name="endpoint_end"),
    path("hosts/", views.HostList.as_view(), name="host_list"),
    path("hosts/allow/", views.AllowHost.as_view(), name="host_allow"),
    path("hosts/<alh:pk>/end/", views.EndHost.as_view(), name="host_end"),
]
