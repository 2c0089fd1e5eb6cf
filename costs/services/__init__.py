"""Writes of costs: the ledger of a batch, rates, caps and what follows when one is passed."""

from .booking import Booking, book
from .caps import Passed, end_cap, pass_cap, passed_today, set_cap, unpriced_today, unsettled
from .privileges import prepare
from .rates import add_rate, end_rate

__all__ = [
    "Booking",
    "Passed",
    "add_rate",
    "book",
    "end_cap",
    "end_rate",
    "pass_cap",
    "passed_today",
    "prepare",
    "set_cap",
    "unpriced_today",
    "unsettled",
]
