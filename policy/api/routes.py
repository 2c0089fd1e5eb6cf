"""Who is asked for the approvals of environments, for machines."""

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Endpoint, Request, StrictSerializer, TypeIDField, tenant_of, validated
from arm.errors import Invalid, Problem
from arm.filters import YesNo
from arm.models import Team
from arm.permissions import require
from arm.rights import Right
from policy import services
from policy.api import serializers as words
from policy.api.base import PolicyViewSetBase, created, row_of
from policy.api.serializers.base import Out
from policy.models import ApprovalRoute, Policy
from policy.queries.policies import default_of
from registry.api.base import StrictJSON
from registry.models import Environment


class DefaultPolicyOut(serializers.Serializer[Any]):
    """The policy that holds for what none is bound to; null: nothing is allowed to that."""

    policy = TypeIDField("pol", source="pk", default=None, allow_null=True)


class DefaultPolicyIn(StrictSerializer):
    policy = TypeIDField("pol", allow_null=True)
    reason = serializers.CharField(max_length=500)


class DefaultPolicyOfTenant(Endpoint):
    """What holds where no policy is bound."""

    parser_classes = [StrictJSON]

    @extend_schema(responses=DefaultPolicyOut)
    def get(self, request: Request) -> Response:
        """The default as it is."""
        require(request.user, Right.READ_POLICY, tenant_of(request))
        return self._shown(request)

    @extend_schema(request=DefaultPolicyIn, responses=DefaultPolicyOut)
    def put(self, request: Request) -> Response:
        """Set it, or take it away with null. An approver does."""
        tenant = tenant_of(request)
        require(request.user, Right.READ_POLICY, tenant)
        body = validated(DefaultPolicyIn, request)
        if (key := body["policy"]) is not None:
            body["policy"] = row_of(Policy, "/policy", request, Right.READ_POLICY, pk=key)
        services.set_default_policy(tenant=tenant, actor=request.user, **body)
        return self._shown(request)

    def _shown(self, request: Request) -> Response:
        held = default_of(tenant_of(request).pk)
        return Response({"policy": held.typeid if held else None})


class RouteFilter(django_filters.FilterSet):  # type: ignore[misc]
    environment = django_filters.CharFilter(field_name="environment__slug", label="Environment (short name)")
    standing = YesNo(field_name="until", lookup_expr="isnull", label="In force")

    class Meta:
        model = ApprovalRoute
        fields: list[str] = []


class ApprovalRouteOut(Out):
    """A team or a role, one of them."""

    noun = "routes"
    id = TypeIDField("apo", source="pk")
    environment = serializers.CharField(source="environment.slug")
    team = serializers.CharField(source="team.name", default=None, allow_null=True)
    set_by = serializers.CharField(source="set_by.username")

    class Meta:
        model = ApprovalRoute
        fields: tuple[str, ...] = (
            *("id", "url", "environment", "team", "role", "since", "until", "set_by", "reason"),
        )


class ApprovalRouteIn(StrictSerializer):
    environment = TypeIDField("env")
    team = serializers.CharField(max_length=120, default=None, allow_null=True, help_text="By its name.")
    role = serializers.CharField(max_length=40, default="", allow_blank=True)
    reason = serializers.CharField(max_length=500)


class ApprovalRouteViewSet(PolicyViewSetBase[ApprovalRoute]):
    """Who is asked for the approvals of an environment; those that have ended stay."""

    queryset = ApprovalRoute.objects.select_related("environment", "team", "set_by").order_by("-pk")
    serializer_class = ApprovalRouteOut
    filterset_class = RouteFilter
    prefix = "apo"

    @extend_schema(request=ApprovalRouteIn, responses={201: ApprovalRouteOut})
    def create(self, request: Request) -> Response:
        """Send requests about what runs there to a team or a role from now on."""
        body: dict[str, Any] = validated(ApprovalRouteIn, request)
        place = body["environment"]
        body["environment"] = row_of(Environment, "/environment", request, Right.READ_DIRECTORY, pk=place)
        if (name := body["team"]) is not None:
            body["team"] = Team.objects.filter(tenant=tenant_of(request), name=name).first()
            if body["team"] is None:
                message = "There is no such team."
                raise Invalid(message, [Problem(pointer="/team", code="choice", message=message)])
        return created(ApprovalRouteOut(services.route_approvals(actor=request.user, **body)))

    @extend_schema(request=words.ReasonIn, responses=ApprovalRouteOut)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        """Ask whoever may decide again. That loosens, so an approver does."""
        route = self.get_object()
        body = validated(words.ReasonIn, request)
        return Response(ApprovalRouteOut(services.end_route(route=route, actor=request.user, **body)).data)
