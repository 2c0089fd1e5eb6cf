"""The gateway process: machines only. Decide and OTLP stand in front of Django (`arm.wsgi_gateway`), the federation's
protocol is served by it."""

from django.urls import include, path

from arm import views

handler400 = "arm.views.handler400"
handler403 = "arm.views.handler403"
handler404 = "arm.views.handler404"
handler500 = "arm.views.handler500"

urlpatterns = [
    path("health/", views.health, name="health"),
    path("ready/", views.ready, name="ready"),
    path("", include("federation.gateway.urls")),
]
