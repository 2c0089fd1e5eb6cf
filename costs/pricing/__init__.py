"""Usage times price → exact amount, without a database, a clock or a network."""

from costs.pricing.amounts import INT8_MAX, PICOS, Basis, Charge, Price, Rates, Usage, rates
from costs.pricing.book import UNPRICED, PriceBook, RateLine
from costs.pricing.listed import reference

__all__ = [
    "INT8_MAX",
    "PICOS",
    "UNPRICED",
    "Basis",
    "Charge",
    "Price",
    "PriceBook",
    "RateLine",
    "Rates",
    "Usage",
    "rates",
    "reference",
]
