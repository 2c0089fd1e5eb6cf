"""Policies, their versions, where they hold, and the classes of tools."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response

from arm import ids
from arm.api import Request, tenant_of, validated
from arm.errors import Conflict, Invalid, Problem
from arm.rights import Right
from policy import services
from policy.api import serializers as words
from policy.api.base import PolicyViewSetBase, created, row_of, scope_of
from policy.engine.wording import differences
from policy.filters import BindingFilter, PolicyFilter, PolicyVersionFilter, ToolFilter
from policy.models import Binding, Policy, PolicyVersion, ToolRisk
from policy.queries import policies as queries
from registry.models import Environment


class PolicyViewSet(PolicyViewSetBase[Policy]):
    """Named sets of rules; at most one version of each is active."""

    queryset = queries.for_list(Policy.objects.select_related("created_by"))
    serializer_class = words.PolicyOut
    filterset_class = PolicyFilter
    prefix = "pol"

    @extend_schema(request=words.PolicyIn, responses={201: words.PolicyVersionDetailOut})
    def create(self, request: Request) -> Response:
        """A new policy with its first version, a draft. Every wrong member of the document is named at once."""
        body = validated(words.PolicyIn, request)
        version = services.create_policy(tenant=tenant_of(request), actor=request.user, **body)
        return created(words.PolicyVersionDetailOut(version))

    @extend_schema(request=words.DraftIn, responses={201: words.PolicyVersionDetailOut})
    @action(detail=True, methods=["post"])
    def versions(self, request: Request, id: str) -> Response:
        """A new draft."""
        policy = self.get_object()
        body = validated(words.DraftIn, request)
        version = services.draft_version(policy=policy, actor=request.user, **body)
        return created(words.PolicyVersionDetailOut(version))


class PolicyVersionViewSet(PolicyViewSetBase[PolicyVersion]):
    """Immutable documents: draft, active, superseded or withdrawn."""

    queryset = PolicyVersion.objects.select_related("policy", "created_by", "activated_by")
    serializer_class = words.PolicyVersionOut
    filterset_class = PolicyVersionFilter
    prefix = "pov"

    def retrieve(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """With the document, and what it says in words."""
        return Response(words.PolicyVersionDetailOut(self.get_object()).data)

    @extend_schema(request=words.ReasonIn, responses=words.PolicyVersionOut)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, id: str) -> Response:
        """Let a draft take effect; its author cannot do that alone."""
        version = self.get_object()
        body = validated(words.ReasonIn, request)
        active = services.activate_version(version=version, actor=request.user, reason=body["reason"])
        return Response(words.PolicyVersionOut(active).data)

    @extend_schema(request=words.ReasonIn, responses=words.PolicyVersionOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, id: str) -> Response:
        """Give a draft up."""
        version = self.get_object()
        body = validated(words.ReasonIn, request)
        gone = services.withdraw_version(version=version, actor=request.user, reason=body["reason"])
        return Response(words.PolicyVersionOut(gone).data)

    @extend_schema(
        parameters=[OpenApiParameter("with", str, description="pov_…; left out: what it replaces")],
        responses=words.DifferenceOut(many=True),
    )
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def diff(self, request: Request, id: str) -> Response:
        """What the version says otherwise than another one, in words."""
        version = self.get_object()
        other = self._other(version, request)
        return Response(words.DifferenceOut(differences(other.document, version.document), many=True).data)

    def _other(self, version: PolicyVersion, request: Request) -> PolicyVersion:
        asked = request.query_params.get("with", "")
        if not asked:
            found = queries.predecessor(version)
            if found is None:
                raise Conflict(f"{version} replaces nothing; say with=pov_….")
            return found
        try:
            pk = ids.decode(PolicyVersion.prefix, asked)
        except ValueError as problem:
            said = Problem(pointer="/with", code="invalid", message=str(problem))
            raise Invalid(str(problem), [said]) from problem
        return row_of(PolicyVersion, "/with", request, Right.READ_POLICY, pk=pk)


class BindingViewSet(PolicyViewSetBase[Binding]):
    """Where policies hold; all that reach an agent are combined, the strictest counts."""

    queryset = queries.with_target(Binding.objects.all())
    serializer_class = words.BindingOut
    filterset_class = BindingFilter
    prefix = "bnd"

    def filter_queryset(self, queryset: Any) -> Any:
        """A list shows what is in force unless asked; an ended binding keeps its address."""
        return super().filter_queryset(queryset) if self.action == "list" else queryset

    @extend_schema(request=words.BindingIn, responses={201: words.BindingOut})
    def create(self, request: Request) -> Response:
        """Let a policy hold for a target, at once."""
        body = validated(words.BindingIn, request)
        policy = row_of(Policy, "/policy", request, Right.READ_POLICY, pk=body["policy"])
        target = scope_of("/target", body["target"], request)
        made = services.bind_policy(policy=policy, target=target, actor=request.user, reason=body["reason"])
        return created(words.BindingOut(made))

    @extend_schema(request=words.ReasonIn, responses=words.BindingOut)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        """End a binding. That loosens, so an approver who did not bind it does."""
        binding = self.get_object()
        body = validated(words.ReasonIn, request)
        ended = services.unbind_policy(binding=binding, actor=request.user, reason=body["reason"])
        return Response(words.BindingOut(ended).data)


class ToolViewSet(PolicyViewSetBase[ToolRisk]):
    """The tenant's own entries in the catalogue of tools."""

    queryset = ToolRisk.objects.select_related("created_by", "environment")
    serializer_class = words.ToolRiskOut
    filterset_class = ToolFilter
    prefix = "trk"

    @extend_schema(request=words.ToolRiskIn, responses={201: words.ToolRiskOut})
    def create(self, request: Request) -> Response:
        """Give a tool or glob a class, a ceiling on its tier, or both."""
        body = validated(words.ToolRiskIn, request)
        if (place := body["environment"]) is not None:
            body["environment"] = row_of(Environment, "/environment", request, Right.READ_DIRECTORY, pk=place)
        made = services.set_tool_risk(tenant=tenant_of(request), actor=request.user, **body)
        return created(words.ToolRiskOut(made))

    @extend_schema(request=words.ReasonIn, responses=words.ToolRiskOut)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        """Take an entry away."""
        entry = self.get_object()
        body = validated(words.ReasonIn, request)
        ended = services.end_tool_risk(entry=entry, actor=request.user, reason=body["reason"])
        return Response(words.ToolRiskOut(ended).data)
