"""What agents may do (policies, bindings, tool risk), what they asked (decisions, approvals), and what stops them."""

from .approvals import ApprovalDecision, ApprovalRequest
from .decisions import Decision
from .limits import LimitLease, LimitUsage
from .policies import Binding, Policy, PolicyVersion, TenantPolicy, ToolRisk
from .postures import Posture
from .restrictions import RestrictionDecision, RestrictionRequest
from .routes import ApprovalRoute
from .targets import Target

__all__ = [
    "ApprovalDecision",
    "ApprovalRequest",
    "ApprovalRoute",
    "Binding",
    "Decision",
    "LimitLease",
    "LimitUsage",
    "Policy",
    "PolicyVersion",
    "Posture",
    "RestrictionDecision",
    "RestrictionRequest",
    "Target",
    "TenantPolicy",
    "ToolRisk",
]
