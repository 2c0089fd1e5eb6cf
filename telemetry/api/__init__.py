"""`/api/v1/incidents/`: reads as far as the caller's rights reach; every verb calls one service."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from .incidents import IncidentViewSet

router = SimpleRouter()
router.trailing_slash = "/?"  # both forms answer: a redirected POST is lost data
router.register("incidents", IncidentViewSet, basename="incident")

urlpatterns = [path("", include(router.urls))]
