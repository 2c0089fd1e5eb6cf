"""How rows of policy look in answers, and what requests may say."""

from .approvals import ApprovalDecisionOut, ApprovalDetailOut, ApprovalOut, DecideApprovalIn
from .base import Out, ReasonIn
from .decisions import AnswerOut, DecisionOut, SimulateIn, SimulationOut
from .policies import (
    BindingIn,
    BindingOut,
    DifferenceOut,
    DraftIn,
    PolicyIn,
    PolicyOut,
    PolicyVersionDetailOut,
    PolicyVersionOut,
    ToolRiskIn,
    ToolRiskOut,
)
from .stops import (
    AllowanceOut,
    ConfirmRestrictionIn,
    PlaceOut,
    PostureOut,
    PreviewIn,
    PreviewOut,
    RestrictionDecisionOut,
    RestrictionDetailOut,
    RestrictionIn,
    RestrictionOut,
    SetPostureIn,
)

__all__ = [
    "AllowanceOut",
    "AnswerOut",
    "ApprovalDecisionOut",
    "ApprovalDetailOut",
    "ApprovalOut",
    "BindingIn",
    "BindingOut",
    "ConfirmRestrictionIn",
    "DecideApprovalIn",
    "DecisionOut",
    "DifferenceOut",
    "DraftIn",
    "Out",
    "PlaceOut",
    "PolicyIn",
    "PolicyOut",
    "PolicyVersionDetailOut",
    "PolicyVersionOut",
    "PostureOut",
    "PreviewIn",
    "PreviewOut",
    "ReasonIn",
    "RestrictionDecisionOut",
    "RestrictionDetailOut",
    "RestrictionIn",
    "RestrictionOut",
    "SetPostureIn",
    "SimulateIn",
    "SimulationOut",
    "ToolRiskIn",
    "ToolRiskOut",
]
