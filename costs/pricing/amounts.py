"""Usage times price → an exact amount.

Amounts are whole picos: 10^-12 of the currency, in an integer, so that a sum is exact and a column is a bigint. A rate is
picos per token; one that is finer is carried with a scale, and the product is rounded half-even once.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

PICOS: Final = 10**12
INT8_MAX: Final = 2**63 - 1

Whole = NDArray[np.int64]
Number = TypeVar("Number", int, Whole)
Tokens = Whole | int | None
"""A column of counts, or the same for all calls; None was not reported."""


class Basis(IntEnum):
    """Where an amount comes from. The numbers are stored: never renumber."""

    REPORTED = 1
    RATE_CARD = 2
    LIST = 3
    ESTIMATED = 4
    UNPRICED = 5

    __hash__ = int.__hash__  # an enum's own is slow, and a ledger hashes one for every call


class Usage(NamedTuple):
    """Tokens of one call. Input counts cached tokens too, output counts reasoning; None was not reported."""

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None


class Charge(NamedTuple):
    """An amount in picos of `currency`. UNPRICED has amount 0 and must be counted, never shown as free."""

    amount: int
    currency: str
    basis: Basis
    price_ref: str


@dataclass(frozen=True, slots=True)
class Rates:
    """Picos times scale for a token of each kind, and for the call itself."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    call: int = 0
    scale: int = 1

    def amount(self, plain: int, cache_read: int, cache_write: int, output: int) -> int:
        """Picos for these tokens; `plain` is the input that no cache served."""
        total = self._total(plain, cache_read, cache_write, output)
        return total if self.scale == 1 else round_half_even(total, self.scale)

    def _total(self, plain: Number, cache_read: Number, cache_write: Number, output: Number) -> Number:
        """Picos times scale, of one call or of a column of them."""
        return (
            plain * self.input
            + cache_read * self.cache_read
            + cache_write * self.cache_write
            + output * self.output
            + self.call
        )

    def holds(self, most: int) -> bool:
        """Whether no amount for at most so many tokens of each kind is too large for a column."""
        rates = self.input + self.cache_read + self.cache_write + self.output
        return max(most, 1) * rates + self.call <= INT8_MAX  # a rate alone has to fit, too

    def amounts(self, plain: Whole, cache_read: Whole, cache_write: Whole, output: Whole) -> Whole:
        """`amount` for columns of tokens, which it `holds`."""
        total = self._total(plain, cache_read, cache_write, output)
        if self.scale == 1:
            return total
        quotient, rest = total // self.scale, total % self.scale
        half = self.scale - rest  # without doubling what may be large
        rounded: Whole = quotient + ((rest > half) | ((rest == half) & (quotient & 1 == 1)))
        return rounded


def round_half_even(value: int, divisor: int) -> int:
    """value / divisor as a whole number, halves to the even one, without a float."""
    quotient, rest = divmod(value, divisor)
    twice = 2 * rest
    return quotient + (twice > divisor or (twice == divisor and quotient & 1 == 1))


def rates(
    *,
    input_mtok: Decimal | None,
    output_mtok: Decimal | None,
    cache_read_mtok: Decimal | None = None,
    cache_write_mtok: Decimal | None = None,
    per_call: Decimal | None = None,
) -> Rates:
    """Rates from prices per million tokens (and per call) in the currency's own unit.

    Without a price of their own, cached tokens cost as much as other input. ValueError for a negative or not finite price.
    """
    plain = input_mtok or Decimal(0)
    million = [
        plain,
        plain if cache_read_mtok is None else cache_read_mtok,
        plain if cache_write_mtok is None else cache_write_mtok,
        output_mtok or Decimal(0),
    ]
    prices = [price * (PICOS // 1_000_000) for price in million] + [(per_call or Decimal(0)) * PICOS]
    if not all(price.is_finite() and price >= 0 for price in prices):
        raise ValueError("A price is a finite number, zero or more.")
    scale = 10 ** max(0, *(-int(price.normalize().as_tuple().exponent) for price in prices))
    plain_rate, read, write, output, call = (int(price * scale) for price in prices)
    return Rates(plain_rate, read, write, output, call, scale)


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs: base rates, dearer tiers by total input (largest threshold first), and where it is written."""

    base: Rates
    currency: str
    basis: Basis
    ref: str
    tiers: tuple[tuple[int, Rates], ...] = ()

    def charge(self, usage: Usage) -> Charge | None:
        """The charge for a call: see `amount`."""
        amount = self.amount(*usage)
        return None if amount is None else Charge(amount, self.currency, self.basis, self.ref)

    def amount(
        self, given: int | None, read: int | None, write: int | None, output: int | None
    ) -> int | None:
        """Picos for a call's tokens as `Usage` has them. None when nothing was reported that this price could be applied to.

        Input (`given`) includes cached tokens as OpenTelemetry has it; where the cached ones exceed it, the
        instrumentation counts them apart (Anthropic's native way), and they are added.
        """
        if given is None and output is None and not self.base.call:
            return None
        given, read, write = given or 0, read or 0, write or 0
        plain = given - read - write
        if plain < 0:
            plain = given
        chosen = self.base
        if self.tiers:
            for threshold, dearer in self.tiers:
                if plain + read + write > threshold:
                    chosen = dearer
                    break
        amount = chosen.amount(plain, read, write, output or 0)
        return amount if amount <= INT8_MAX else None

    def amounts(self, count: int, given: Tokens, read: Tokens, write: Tokens, output: Tokens) -> Whole | None:
        """The same for `count` calls, whose tokens are a column, or one number (or None) for all of them.

        None: `amount` has to be asked call by call, since it is None for all of them or might not fit.
        """
        if given is None and output is None and not self.base.call:
            return None
        columns = [
            tokens if isinstance(tokens, np.ndarray) else np.full(count, tokens or 0, np.int64)
            for tokens in (given, read, write, output)
        ]
        most = max(int(column.max()) for column in columns)
        if not all(rates.holds(most) for rates in (self.base, *(dearer for _, dearer in self.tiers))):
            return None
        all_in, from_cache, to_cache, made = columns
        plain = all_in - from_cache - to_cache
        plain = np.where(plain < 0, all_in, plain)
        amounts = self.base.amounts(plain, from_cache, to_cache, made)
        for threshold, dearer in reversed(self.tiers):
            beyond = plain + from_cache + to_cache > threshold
            amounts = np.where(beyond, dearer.amounts(plain, from_cache, to_cache, made), amounts)
        return amounts
