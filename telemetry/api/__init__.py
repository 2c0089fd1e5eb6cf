"""`/api/v1/incidents/` and `/api/v1/telemetry/…`: reads reach as far as the caller's rights; a verb calls one service."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from .asking import AskedViewSet, StreamPage
from .events import EventViewSet
from .incidents import IncidentViewSet
from .quarantine import QuarantineViewSet

__all__ = ["AskedViewSet", "StreamPage"]

router = SimpleRouter()
router.trailing_slash = "/?"  # both forms answer: a redirected POST is lost data
router.register("incidents", IncidentViewSet, basename="incident")
router.register("telemetry/events", EventViewSet, basename="event")
router.register("telemetry/quarantine", QuarantineViewSet, basename="quarantine")

urlpatterns = [path("", include(router.urls))]
