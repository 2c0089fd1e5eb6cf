"""Every write of policy: one function per verb."""

from .approvals import (
    Requested,
    cancel_approval,
    close_approval,
    consume_approval,
    decide_approval,
    expire_approvals,
    request_approval,
    request_tool_approval,
    void_approvals,
)
from .bindings import bind_policy, unbind_policy
from .carrying import carry_policies, own_policies
from .catalogue import end_tool_risk, set_default_policy, set_outcome_rule, set_tool_risk
from .limits import reserve_limit, settle_limit
from .policies import activate_version, create_policy, draft_version, withdraw_version
from .postures import ApprovalNeeded, SecondPersonNeeded, lift_posture, request_lift, set_posture
from .restrictions import (
    confirm_restriction,
    decline_restriction,
    expire_restrictions,
    request_restriction,
    withdraw_restriction,
)
from .routes import end_route, route_approvals

__all__ = [
    "ApprovalNeeded",
    "Requested",
    "SecondPersonNeeded",
    "activate_version",
    "bind_policy",
    "cancel_approval",
    "carry_policies",
    "close_approval",
    "confirm_restriction",
    "consume_approval",
    "create_policy",
    "decide_approval",
    "decline_restriction",
    "draft_version",
    "end_route",
    "end_tool_risk",
    "expire_approvals",
    "expire_restrictions",
    "lift_posture",
    "own_policies",
    "request_approval",
    "request_lift",
    "request_restriction",
    "request_tool_approval",
    "reserve_limit",
    "route_approvals",
    "set_default_policy",
    "set_outcome_rule",
    "set_posture",
    "set_tool_risk",
    "settle_limit",
    "unbind_policy",
    "void_approvals",
    "withdraw_restriction",
    "withdraw_version",
]
