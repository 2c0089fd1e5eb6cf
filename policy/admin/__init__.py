"""Policy in the admin: every noun with object-level rights; every write is the service that the console calls."""

from .approvals import ApprovalRequestAdmin
from .decisions import DecisionAdmin, LimitUsageAdmin
from .policies import BindingAdmin, PolicyAdmin, PolicyVersionAdmin, ToolRiskAdmin
from .restrictions import RestrictionRequestAdmin
from .routes import ApprovalRouteAdmin
from .stops import PostureAdmin

__all__ = [
    "ApprovalRequestAdmin",
    "ApprovalRouteAdmin",
    "BindingAdmin",
    "DecisionAdmin",
    "LimitUsageAdmin",
    "PolicyAdmin",
    "PolicyVersionAdmin",
    "PostureAdmin",
    "RestrictionRequestAdmin",
    "ToolRiskAdmin",
]
