"""`/api/v1/evaluation/…`: suites, what they are asked of, endpoints, runs and their results; a verb calls one service."""

from typing import Any

from django.urls import include, path
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from arm.api import Request, tenant_of, validated
from arm.rights import Right
from registry.models import AgentTemplate, AgentVersion

from .. import filters, services
from ..models import AllowedHost, Assignment, Baseline, Endpoint, Result, Run, Suite, SuiteVersion
from ..queries import suites_for
from . import serializers as words
from .base import EvaluationViewSet, created, held, named, seen
from .certifications import CertificationTypeViewSet, CertificationViewSet


class SuiteViewSet(EvaluationViewSet[Suite]):
    """Suites by name. What one asks is in its versions."""

    queryset = Suite.objects.for_list()
    serializer_class = words.SuiteOut
    filterset_class = filters.SuiteFilter
    prefix = "sui"

    @extend_schema(request=words.SuiteIn, responses={201: words.SuiteVersionDetailOut})
    def create(self, request: Request) -> Response:
        """A new suite with its first version."""
        body = validated(words.SuiteIn, request)
        held(body["document"])
        made = services.create_suite(tenant=tenant_of(request), actor=request.user, **body)
        return created(words.SuiteVersionDetailOut(made))

    @extend_schema(request=words.SuiteVersionIn, responses={201: words.SuiteVersionDetailOut})
    @action(detail=True, methods=["post"])
    def versions(self, request: Request, id: str) -> Response:
        """Another version; what passed the one before has to be run again."""
        suite = self.get_object()
        body = validated(words.SuiteVersionIn, request)
        held(body["document"])
        made = services.save_version(suite=suite, actor=request.user, **body)
        return created(words.SuiteVersionDetailOut(made))

    @extend_schema(request=words.CapabilityIn, responses=words.SuiteOut)
    @action(detail=True, methods=["post"])
    def capability(self, request: Request, id: str) -> Response:
        """Say which capability the suite measures; what it asks stays as it is."""
        suite = self.get_object()
        body = validated(words.CapabilityIn, request)
        services.declare_capability(suite=suite, actor=request.user, **body)
        return Response(words.SuiteOut(self.get_object()).data)


class SuiteVersionViewSet(EvaluationViewSet[SuiteVersion]):
    """Immutable documents (arm.suite/v1), addressed by their digest."""

    queryset = SuiteVersion.objects.select_related("suite")
    serializer_class = words.SuiteVersionOut
    filterset_class = filters.SuiteVersionFilter
    prefix = "suv"

    @extend_schema(responses=words.SuiteVersionDetailOut)
    def retrieve(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """With the document."""
        return Response(words.SuiteVersionDetailOut(self.get_object()).data)


class AssignmentViewSet(EvaluationViewSet[Assignment]):
    """Which suites are asked of which agents now; `?ended=true` or `all` for others."""

    queryset = Assignment.objects.select_related("suite", "template")
    serializer_class = words.AssignmentOut
    filterset_class = filters.AssignmentFilter
    prefix = "sas"

    @extend_schema(request=words.AssignmentIn, responses={201: words.AssignmentOut})
    def create(self, request: Request) -> Response:
        tenant_of(request)
        body = validated(words.AssignmentIn, request)
        made = services.assign_suite(
            suite=seen(request, Suite.objects.all(), body["suite"], "/suite"),
            template=seen(request, AgentTemplate.objects.all(), body["template"], "/template"),
            mandatory=body["mandatory"],
            actor=request.user,
            reason=body["reason"],
        )
        return created(words.AssignmentOut(made))

    @extend_schema(request=words.EvaluationReasonIn, responses=words.AssignmentOut)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        """The suite is asked no more; a safety case that has failed stays failed."""
        return self.carried_out(services.end_assignment, "assignment")


class EndpointViewSet(EvaluationViewSet[Endpoint]):
    """Where agents answer now; `?ended=true` or `all` for others."""

    queryset = Endpoint.objects.select_related("template", "version")
    serializer_class = words.EndpointOut
    filterset_class = filters.EndpointFilter
    prefix = "eep"

    @extend_schema(request=words.EndpointIn, responses={201: words.EndpointOut})
    def create(self, request: Request) -> Response:
        """The endpoint in force for the same agent (or version) ends."""
        tenant_of(request)
        body = validated(words.EndpointIn, request)
        versions = AgentVersion.objects.select_related("template")
        version = seen(request, versions, body["version"], "/version") if body["version"] else None
        made = services.set_endpoint(
            template=seen(request, AgentTemplate.objects.all(), body["template"], "/template"),
            version=version,
            url=body["url"],
            actor=request.user,
            reason=body["reason"],
        )
        return created(words.EndpointOut(made))

    @extend_schema(request=words.EvaluationReasonIn, responses=words.EndpointOut)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        return self.carried_out(services.end_endpoint, "endpoint")


class AllowedHostViewSet(EvaluationViewSet[AllowedHost]):
    """Hosts and networks that are not public and may be called all the same."""

    queryset = AllowedHost.objects.all()
    serializer_class = words.AllowedHostOut
    filterset_class = filters.AllowedHostFilter
    view_right = Right.MANAGE_TENANT
    prefix = "alh"

    @extend_schema(request=words.AllowedHostIn, responses={201: words.AllowedHostOut})
    def create(self, request: Request) -> Response:
        body = validated(words.AllowedHostIn, request)
        made = services.allow_host(tenant=tenant_of(request), actor=request.user, **body)
        return created(words.AllowedHostOut(made))

    @extend_schema(request=words.EvaluationReasonIn, responses=words.AllowedHostOut)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        return self.carried_out(services.end_allowed_host, "allowed")


class RunViewSet(EvaluationViewSet[Run]):
    """Runs, newest first."""

    queryset = Run.objects.for_list().defer("suite_version__content")
    serializer_class = words.RunOut
    filterset_class = filters.RunFilter
    prefix = "run"

    @extend_schema(request=words.RunIn, responses={201: words.RunOut})
    def create(self, request: Request) -> Response:
        """Put a suite's newest version to a version, at its endpoint."""
        tenant_of(request)
        body = validated(words.RunIn, request)
        versions = AgentVersion.objects.select_related("template", "genome")
        made = services.start_run(
            version=seen(request, versions, body["version"], "/version"),
            suite=named(suites_for(request.user), body["suite"], "/suite"),
            actor=request.user,
            reason=body["reason"],
        )
        return created(words.RunOut(made))

    @extend_schema(request=words.EvaluationReasonIn, responses=words.RunOut)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, id: str) -> Response:
        """It comes to no result."""
        return self.carried_out(services.cancel_run, "run")


class BaselineViewSet(EvaluationViewSet[Baseline]):
    """Runs that were pinned as what an agent's versions are held against; `?ended=true` or `all` for others."""

    queryset = Baseline.objects.select_related("run", "template", "suite")
    serializer_class = words.BaselineOut
    filterset_class = filters.BaselineFilter
    prefix = "bsl"

    @extend_schema(request=words.BaselineIn, responses={201: words.BaselineOut})
    def create(self, request: Request) -> Response:
        """Pin a run that passed."""
        tenant_of(request)
        body = validated(words.BaselineIn, request)
        run = seen(request, Run.objects.for_list(), body["run"], "/run")
        made = services.pin_baseline(run=run, actor=request.user, reason=body["reason"])
        return created(words.BaselineOut(made))

    @extend_schema(request=words.EvaluationReasonIn, responses=words.BaselineOut)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        """Versions are held against the newest approved version's run again."""
        return self.carried_out(services.end_baseline, "baseline")


class ResultViewSet(EvaluationViewSet[Result]):
    """Results of every run; `?run=run_…` for those of one."""

    queryset = Result.objects.all()
    serializer_class = words.ResultOut
    filterset_class = filters.ResultFilter
    prefix = "res"


router = SimpleRouter()
router.trailing_slash = "/?"  # both forms answer: a redirected POST is lost data
router.register("suites", SuiteViewSet, basename="suite")
router.register("suite-versions", SuiteVersionViewSet, basename="suite_version")
router.register("assignments", AssignmentViewSet, basename="assignment")
router.register("endpoints", EndpointViewSet, basename="endpoint")
router.register("allowed-hosts", AllowedHostViewSet, basename="allowed_host")
router.register("baselines", BaselineViewSet, basename="baseline")
router.register("runs", RunViewSet, basename="run")
router.register("certification-types", CertificationTypeViewSet, basename="certification_type")
router.register("certifications", CertificationViewSet, basename="certification")
router.register("results", ResultViewSet, basename="result")

urlpatterns = [path("", include(router.urls))]
