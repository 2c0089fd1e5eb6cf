"""`/api/v1/policy/…`: rules, stops, approvals and decisions for machines (the decide lane is in the gateway)."""

from django.urls import re_path
from rest_framework import routers

from policy.api.approvals import ApprovalViewSet
from policy.api.decisions import DecisionViewSet
from policy.api.policies import BindingViewSet, PolicyVersionViewSet, PolicyViewSet, ToolViewSet
from policy.api.restrictions import RestrictionViewSet
from policy.api.routes import ApprovalRouteViewSet, DefaultPolicyOfTenant
from policy.api.simulate import Simulate
from policy.api.stops import PostureViewSet

router = routers.SimpleRouter()
router.trailing_slash = "/?"  # agents poll with and without it; a redirect would lose a POST
for noun, viewset in (
    ("policies", PolicyViewSet),
    ("versions", PolicyVersionViewSet),
    ("bindings", BindingViewSet),
    ("tools", ToolViewSet),
    ("approvals", ApprovalViewSet),
    ("routes", ApprovalRouteViewSet),
    ("postures", PostureViewSet),
    ("restrictions", RestrictionViewSet),
    ("decisions", DecisionViewSet),
):
    router.register(noun, viewset, basename=f"policy-{noun}")

urlpatterns = [
    re_path(r"^simulate/?$", Simulate.as_view(), name="policy-simulate"),
    re_path(r"^default/?$", DefaultPolicyOfTenant.as_view(), name="policy-default"),
    *router.urls,
]
