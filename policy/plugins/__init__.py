"""What policy answers to the ports of the apps below: gates, approvals, limits, panels and navigation."""

from .card import CardPolicy
from .gates import Approvals, ApprovalsVoided, Limits, PolicyBound, PolicyValidates, SlotHasPolicy
from .navigation import Navigation
from .panels import (
    ApprovalsWaiting,
    InstanceStop,
    LastApprovals,
    LastDecisions,
    PolicyInForce,
    StopsInForce,
    StopsRequested,
)
from .past import ApprovalsThen, PolicyThen
from .search import Search
from .witness import DecisionsSeen

__all__ = [
    "Approvals",
    "ApprovalsThen",
    "ApprovalsVoided",
    "ApprovalsWaiting",
    "CardPolicy",
    "DecisionsSeen",
    "InstanceStop",
    "LastApprovals",
    "LastDecisions",
    "Limits",
    "Navigation",
    "PolicyBound",
    "PolicyInForce",
    "PolicyThen",
    "PolicyValidates",
    "Search",
    "SlotHasPolicy",
    "StopsInForce",
    "StopsRequested",
]
