"""Writes of costs: the ledger of a batch, rates, caps and what follows when one is passed."""

from .allowances import allowances_of, drawn_from, may_grant, refusals
from .booking import Booking, book
from .caps import Passed, end_cap, grant_cap, pass_cap, passed_today, set_cap, unpriced_today, unsettled
from .carrying import carry_caps, own_caps
from .privileges import prepare
from .rates import add_rate, end_rate

__all__ = [
    "Booking",
    "Passed",
    "add_rate",
    "allowances_of",
    "book",
    "carry_caps",
    "drawn_from",
    "end_cap",
    "end_rate",
    "grant_cap",
    "may_grant",
    "own_caps",
    "pass_cap",
    "passed_today",
    "prepare",
    "refusals",
    "set_cap",
    "unpriced_today",
    "unsettled",
]
