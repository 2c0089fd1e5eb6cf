"""A measured figure and the bound that it is held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """`limit` is in the unit of `value`, `sense` says on which side of it is good; `ratio` is value ÷ the
    reference that was measured in the same run, and what a noisy machine leaves comparable."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    sense: Literal["at most", "at least"] = "at most"

    @property
    def good(self) -> bool:
        """Whether the limit holds; a figure without one is for the record."""
        if self.limit is None:
            return True
        return self.value <= self.limit if self.sense == "at most" else self.value >= self.limit


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` (0 to 1) of all samples do not exceed."""
    if not samples:
        raise ValueError("a percentile needs at least one sample")
    ordered = sorted(samples)
    position = -(-len(ordered) * share // 1)  # rounded up
    return ordered[min(len(ordered), max(1, int(position))) - 1]
