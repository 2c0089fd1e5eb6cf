"""Policy's part of the navigation."""

from arm.panels import Entry
from arm.rights import Right


class Navigation:
    """What on-call people, approvers and analysts come for."""

    entries = (
        Entry("Fleet", "Approvals", "policy:approval_list", Right.READ_DECISIONS, "approvals", "q"),
        Entry("Fleet", "Stop", "policy:stop_list", Right.READ_POLICY, "stop"),
        Entry("Policy", "Simulator", "policy:simulator", Right.READ_POLICY, "policies"),
        Entry("Policy", "Policies", "policy:policy_list", Right.READ_POLICY, "policies", "p"),
        Entry("Policy", "Bindings", "policy:binding_list", Right.READ_POLICY, "environments"),
        Entry("Policy", "Tools", "policy:tool_list", Right.READ_POLICY, "tool-risk"),
        Entry("Policy", "Decisions", "policy:decision_list", Right.READ_DECISIONS, "decisions"),
    )
