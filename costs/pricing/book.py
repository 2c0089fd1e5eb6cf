"""The order in which a price is looked for, and what was found, remembered per model."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from costs.pricing import listed
from costs.pricing.amounts import Basis, Charge, Price, Usage

REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class RateLine:
    """A line of a tenant's rate card: this model costs this much from `starts` until `ends`.

    A model ending in `*` stands for all that begin so; an empty provider for every provider.
    """

    provider: str
    model: str
    starts: datetime
    ends: datetime | None
    price: Price

    def names(self, provider: str | None, model: str) -> bool:
        if self.provider and self.provider != provider:
            return False
        return model.startswith(self.model[:-1]) if self.model.endswith("*") else model == self.model

    def holds(self, at: datetime) -> bool:
        return self.starts <= at and (self.ends is None or at < self.ends)

    @property
    def rank(self) -> tuple[bool, bool, int, datetime]:
        """The more exact line wins, then the newer one."""
        return not self.model.endswith("*"), bool(self.provider), len(self.model), self.starts


class PriceBook:
    """One tenant's prices: its rate card, then the list prices."""

    def __init__(self, lines: Iterable[RateLine] = ()) -> None:
        self._lines = _ranked(lines)
        self._found: dict[tuple[str | None, str | None], Price | listed.At | None] = {}

    def has(self, lines: Iterable[RateLine]) -> bool:
        """Whether these are exactly the lines of this book."""
        return self._lines == _ranked(lines)

    def charge(
        self,
        *,
        provider: str | None,
        model: str | None,
        at_us: int,
        usage: Usage,
        reported: Charge | None = None,
    ) -> Charge:
        """What a call at `at_us` (microseconds since 1970, UTC) cost.

        A price of ours goes before the amount the agent reported: an agent does not write its own bill. Without either
        the charge is UNPRICED with amount 0.
        """
        price = self._price(provider, model)
        if price is not None and not isinstance(price, Price):
            price = price(datetime.fromtimestamp(at_us / 1_000_000, UTC))
        charge = price.charge(usage) if price is not None else None
        return charge or reported or UNPRICED

    def always(self, provider: str | None, model: str | None) -> Price | None:
        """The price of a model, if it is the same at all times."""
        price = self._price(provider, model)
        return price if isinstance(price, Price) else None

    def _price(self, provider: str | None, model: str | None) -> Price | listed.At | None:
        key = provider, model
        try:
            return self._found[key]
        except KeyError:
            price = self._find(provider, model)
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found[key] = price
            return price

    def _find(self, provider: str | None, model: str | None) -> Price | listed.At | None:
        if model is None:
            return None
        found = listed.find(provider, model)
        lines = [line for line in self._lines if line.names(provider, model)]
        return _first_holding(lines, found) if lines else found


def _ranked(lines: Iterable[RateLine]) -> list[RateLine]:
    return sorted(lines, key=lambda line: line.rank, reverse=True)


def _first_holding(
    lines: list[RateLine], otherwise: Price | listed.At | None
) -> Callable[[datetime], Price | None]:
    def at(moment: datetime) -> Price | None:
        for line in lines:
            if line.holds(moment):
                return line.price
        return otherwise(moment) if callable(otherwise) else otherwise

    return at


UNPRICED: Final = Charge(0, "USD", Basis.UNPRICED, "")
