"""The demo's activity: budgets, thirty days of work, and the pulse that keeps the fleet alive while it is looked at."""

from .granting import grant, set_budget
from .pulse import EVERY, NAME, Pulse
from .sending import report_helpers, send

__all__ = ["EVERY", "NAME", "Pulse", "grant", "report_helpers", "send", "set_budget"]
