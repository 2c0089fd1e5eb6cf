"""What policy answers to the ports of the apps below: gates, approvals, limits, panels and navigation."""

from .card import CardPolicy
from .carrying import BindingsCarried
from .gates import (
    Approvals,
    ApprovalsVoided,
    Limits,
    PolicyBound,
    PolicyValidates,
    SlotHasPolicy,
    StopsAbove,
)
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
from .places import EnvironmentRules
from .search import Search
from .spawning import SpawnRules
from .witness import DecisionsSeen

__all__ = [
    "Approvals",
    "ApprovalsThen",
    "ApprovalsVoided",
    "ApprovalsWaiting",
    "BindingsCarried",
    "CardPolicy",
    "DecisionsSeen",
    "EnvironmentRules",
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
    "SpawnRules",
    "StopsAbove",
    "StopsInForce",
    "StopsRequested",
]
