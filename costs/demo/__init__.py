"""The demo's activity: a budget, thirty days of work, and the pulse that keeps the fleet alive while it is looked at."""

from .pulse import EVERY, NAME, Pulse
from .sending import report_helpers, send, set_budget

__all__ = ["EVERY", "NAME", "Pulse", "report_helpers", "send", "set_budget"]
