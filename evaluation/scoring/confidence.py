"""How sure a share of passed cases is: the Wilson score interval at 95 %. Pure."""

from decimal import Decimal
from math import sqrt
from typing import Final

Z: Final = 1.959963984540054
"""Of the normal distribution, for 95 % between both ends."""


def interval(passed: int, total: int) -> tuple[float, float]:
    """Between which shares (0 to 1) the true one lies, with 95 % confidence; (0, 1) where nothing was counted."""
    if total <= 0:
        return 0.0, 1.0
    share, square = passed / total, Z * Z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = Z / (1 + square / total) * sqrt(share * (1 - share) / total + square / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def bounds(passed: int, total: int) -> tuple[Decimal, Decimal]:
    """The ends of `interval` in percent, with one place as scores have."""
    low, high = interval(passed, total)
    return Decimal(f"{100 * low:.1f}"), Decimal(f"{100 * high:.1f}")
