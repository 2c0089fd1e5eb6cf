"""What policy answers to the ports of the apps below: gates, approvals, limits, panels and navigation."""

from .gates import Approvals, Limits, PolicyBound, PolicyValidates, SlotHasPolicy
from .navigation import Navigation

__all__ = ["Approvals", "Limits", "Navigation", "PolicyBound", "PolicyValidates", "SlotHasPolicy"]
