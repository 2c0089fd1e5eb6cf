"""Endpoints of roles and assignments."""

from dataclasses import asdict
from functools import partial
from typing import Any

from django.db.models import Model
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, StrictSerializer, TypeIDField, tenant_of, validated
from arm.errors import Problem
from arm.models import Tenant
from arm.permissions import held_on
from arm.rights import Risk
from registry import queries, services
from registry.api.base import DirectoryViewSet, created, with_rows
from registry.api.directory import decoded, row_of
from registry.api.serializers import Out, Reasoned, RoleOut, also_shown
from registry.filters.roles import AssignmentFilter, RoleFilter
from registry.models import AgentInstance, AgentVersion, Environment, RoleAssignment, RoleDefinition

MONEY: dict[str, Any] = {"max_digits": 18, "decimal_places": 6, "required": False, "allow_null": True}
PERCENT: dict[str, Any] = {"max_digits": 6, "decimal_places": 3, "required": False, "allow_null": True}


class NeedIn(StrictSerializer):
    """`least` in per cent."""

    name = serializers.CharField(max_length=80)
    least = serializers.IntegerField()


class CoverageIn(StrictSerializer):
    """How many instances at work the role takes in an environment."""

    environment = serializers.CharField(max_length=80)
    least = serializers.IntegerField()


class RoleIn(Reasoned):
    slug = serializers.SlugField(max_length=80)
    name = serializers.CharField(max_length=160)
    purpose = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    tier = serializers.IntegerField(min_value=0, max_value=5, required=False)
    risk = serializers.ChoiceField(Risk.choices, required=False)
    cost_center = serializers.CharField(max_length=80, required=False, allow_blank=True)
    capabilities = NeedIn(many=True, required=False)
    certifications = serializers.ListField(child=serializers.CharField(max_length=80), required=False)
    budget_per_day = serializers.DecimalField(**MONEY)
    budget_per_month = serializers.DecimalField(**MONEY)
    budget_per_outcome = serializers.DecimalField(**MONEY)
    currency = serializers.CharField(max_length=3, required=False, allow_blank=True)
    success_rate = serializers.DecimalField(**PERCENT)
    latency_ms = serializers.IntegerField(required=False, allow_null=True)
    availability = serializers.DecimalField(**PERCENT)
    coverage = CoverageIn(many=True, required=False)
    failover = serializers.BooleanField(required=False)
    approvals = serializers.IntegerField(min_value=1, max_value=9, required=False)


class RoleChange(RoleIn):
    """What is named changes; the slug does not."""

    slug = None  # type: ignore[assignment]
    name = serializers.CharField(max_length=160, required=False)
    seen = serializers.IntegerField(
        min_value=1,
        required=False,
        help_text="The revision that the caller saw; 409 `edited_meanwhile` where it is another by now.",
    )


class CoverOut(serializers.Serializer[Any]):
    """How a role is covered where its rule says so; `gap` is '' where nothing is missing."""

    environment = serializers.CharField(source="environment.slug")
    need = serializers.IntegerField()
    have = serializers.IntegerField()
    lacks = serializers.IntegerField()
    providers = serializers.IntegerField()
    gap = serializers.CharField()


class RoleAssignIn(Reasoned):
    """A version, or one instance of it; from now, or from `since`, and until `until` or until it is ended."""

    environment = serializers.SlugField()
    version = TypeIDField("ver", required=False)
    instance = TypeIDField("ins", required=False)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False, allow_null=True)


@also_shown
class RoleAssignmentOut(Out):
    noun = "assignments"
    id = TypeIDField("ras", source="pk")
    role = serializers.CharField(source="role.slug")
    environment = serializers.CharField(source="environment.slug")
    version = TypeIDField("ver", source="version_id")
    instance = TypeIDField("ins", source="instance_id", allow_null=True)
    state = serializers.ChoiceField(["planned", "active", "ended"], source="standing")
    assigned_by = serializers.CharField(source="assigned_by.username", default=None, allow_null=True)

    class Meta:
        model = RoleAssignment
        fields = (
            *("id", "url", "role", "environment", "version", "instance"),
            *("state", "since", "until", "assigned_by", "reason"),
        )


class RoleVerdictOut(serializers.Serializer[Any]):
    gate = serializers.CharField()
    passed = serializers.BooleanField()
    reason = serializers.CharField()
    mend = serializers.CharField()
    right = serializers.CharField()
    applies = serializers.BooleanField()


class RoleFactOut(serializers.Serializer[Any]):
    """`ok` null: too little is known."""

    name = serializers.CharField()
    value = serializers.DecimalField(max_digits=38, decimal_places=12, allow_null=True, coerce_to_string=True)
    limit = serializers.DecimalField(max_digits=38, decimal_places=12, coerce_to_string=True)
    unit = serializers.CharField()
    ok = serializers.BooleanField(allow_null=True)
    sentence = serializers.CharField()


STAFF: dict[str, tuple[type[Model], str]] = {
    "environment": (Environment, "slug"),
    "version": (AgentVersion, "pk"),
    "instance": (AgentInstance, "pk"),
}
"""The rows that an assignment names, and how."""


class RoleViewSet(DirectoryViewSet[RoleDefinition]):
    """Jobs, apart from who does them."""

    queryset = RoleDefinition.objects.all()
    serializer_class = RoleOut
    filterset_class = RoleFilter
    prefix = "rol"

    @extend_schema(request=RoleIn, responses={201: RoleOut})
    def create(self, request: Request) -> Response:
        """Define a role; what it cannot ask is 422 with every pointer."""
        body = _typed(with_rows(RoleIn, request, {}, partial(_wrong, tenant_of(request))))
        return created(RoleOut(services.create_role(tenant=tenant_of(request), actor=request.user, **body)))

    @extend_schema(request=RoleChange, responses=RoleOut)
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what the role is called and what it asks; the record has before and after."""
        role = self.get_object()
        body = _typed(with_rows(RoleChange, request, {}, partial(_wrong, tenant_of(request))))
        return Response(RoleOut(services.update_role(role=role, actor=request.user, **body)).data)

    @extend_schema(responses=RoleFactOut(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def kept(self, request: Request, id: str) -> Response:
        """How its budgets and objectives are kept, as far as the caller may see spend and telemetry."""
        role = self.get_object()
        return Response(RoleFactOut(queries.kept_by(role, held_on(request.user, role)), many=True).data)

    @extend_schema(responses=CoverOut(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def coverage(self, request: Request, id: str) -> Response:
        """Where the role is covered, and which environment lacks how many."""
        (row,) = queries.role_rows([self.get_object()], request.user)
        return Response(CoverOut(row.covers, many=True).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("environment", str, required=True),
            OpenApiParameter("version", str, required=True, description="ver_…"),
        ],
        responses=RoleVerdictOut(many=True),
    )
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def check(self, request: Request, id: str) -> Response:
        """What a version lacks for the role in an environment; nothing is assigned."""
        role = self.get_object()
        asked = request.query_params
        place = row_of(Environment, "/environment", request, slug=asked.get("environment", ""))
        key = decoded("ver", asked.get("version", ""), "/version")
        version = row_of(AgentVersion, "/version", request, pk=key)
        return Response([asdict(verdict) for verdict in queries.role_check(role, place, version)])

    @extend_schema(request=RoleAssignIn, responses={201: RoleAssignmentOut})
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, id: str) -> Response:
        """Assign somebody; 409 `gate_refused` names everything that the version lacks."""
        role = self.get_object()
        body = with_rows(RoleAssignIn, request, STAFF, partial(_assigning_problems, request))
        return created(RoleAssignmentOut(services.assign_role(role=role, actor=request.user, **body)))


class RoleAssignmentViewSet(DirectoryViewSet[RoleAssignment]):
    """Who does which job where, now and to come; `?ended=true` or `all` for others."""

    queryset = RoleAssignment.objects.for_list()
    serializer_class = RoleAssignmentOut
    filterset_class = AssignmentFilter
    prefix = "ras"

    @extend_schema(request=Reasoned, responses=RoleAssignmentOut)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        """It does the job no more; what runs is not stopped by it."""
        assignment = self.get_object()
        body = validated(Reasoned, request)
        done = services.end_assignment(assignment=assignment, actor=request.user, **body)
        return Response(RoleAssignmentOut(done).data)


def _assigning_problems(request: Request, **read: Any) -> list[Problem]:
    somebody = bool({"version", "instance"} & set(request.data))
    return services.assigning_problems(**read, somebody=somebody)


def _wrong(tenant: Tenant, **read: Any) -> list[Problem]:
    """What is wrong beside members that could not be read."""
    return queries.role_problems(tenant, _typed(read))


def _typed(body: dict[str, Any]) -> dict[str, Any]:
    if "risk" in body:
        body["risk"] = Risk(body["risk"])
    for name in ("capabilities", "coverage"):
        if name in body:
            body[name] = [dict(row) for row in body[name]]
    return body
