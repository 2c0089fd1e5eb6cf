"""The console's pages of policy."""

from policy.views.approvals import (
    ApprovalDetail,
    ApprovalHistory,
    ApprovalList,
    ApprovalWaiting,
    CancelApproval,
)
from policy.views.decisions import DecisionDetail, DecisionList
from policy.views.policies import (
    ActivateVersion,
    BindingList,
    BindPolicy,
    ClassifyTool,
    CreatePolicy,
    DraftVersion,
    EndBinding,
    EndToolRisk,
    PolicyDetail,
    PolicyList,
    PolicyVersionDetail,
    PolicyVersionDiff,
    ToolCatalogue,
    WithdrawVersion,
)
from policy.views.restrictions import (
    ConfirmRestriction,
    DeclineRestriction,
    RestrictionDetail,
    RestrictionList,
    WithdrawRestriction,
)
from policy.views.routes import DefaultPolicy, EndRoute, RouteApprovals
from policy.views.simulator import Simulator
from policy.views.stops import (
    AskForLift,
    ChooseStop,
    LiftStop,
    PreviewStop,
    StopDetail,
    StopHistory,
    StopList,
)

__all__ = [
    "ActivateVersion",
    "ApprovalDetail",
    "ApprovalHistory",
    "ApprovalList",
    "ApprovalWaiting",
    "AskForLift",
    "BindPolicy",
    "BindingList",
    "CancelApproval",
    "ChooseStop",
    "ClassifyTool",
    "ConfirmRestriction",
    "CreatePolicy",
    "DecisionDetail",
    "DecisionList",
    "DeclineRestriction",
    "DefaultPolicy",
    "DraftVersion",
    "EndBinding",
    "EndRoute",
    "EndToolRisk",
    "LiftStop",
    "PolicyDetail",
    "PolicyList",
    "PolicyVersionDetail",
    "PolicyVersionDiff",
    "PreviewStop",
    "RestrictionDetail",
    "RestrictionList",
    "RouteApprovals",
    "Simulator",
    "StopDetail",
    "StopHistory",
    "StopList",
    "ToolCatalogue",
    "WithdrawRestriction",
    "WithdrawVersion",
]
