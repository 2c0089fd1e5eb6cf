"""Costs in the second workplace: the ledger and its sums to read, rates and caps through their services."""

from .caps import CapAdmin, CapBreachAdmin
from .ledger import LedgerEntryAdmin, SpendRollupAdmin
from .rates import CostModelAdmin

__all__ = ["CapAdmin", "CapBreachAdmin", "CostModelAdmin", "LedgerEntryAdmin", "SpendRollupAdmin"]
