"""What a block of events cost: its calls in columns, by what they are charged by."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from telemetry.parsing.blocks import Block, Bytes, Whole, big_endian, filled, pattern
from telemetry.parsing.events import Work
from telemetry.parsing.packing import EPOCH_US, NULL, counts

from ..pricing import Charge, PriceBook, Usage
from ..pricing.amounts import INT8_MAX

Said = tuple[str | None, str | None, bool]
"""Cost centre, outcome, and whether the work is attributed: what sums tell apart of a work."""
Totals = list[int]
"""Calls, input tokens, cached tokens, output tokens, picos."""
_4: Final = b"\x00\x00\x00\x04"
_8: Final = b"\x00\x00\x00\x08"


class Spent:
    """Calls of a block that are charged alike."""

    __slots__ = ("_amounts", "_block", "_chosen", "works")

    def __init__(self, block: Block, amounts: Whole, chosen: NDArray[np.intp] | None = None) -> None:
        """`chosen`: which of the block's calls; None: all of them."""
        self._block = block
        self._amounts = amounts
        self._chosen = chosen
        self.works: Sequence[Work] = (
            block.works if chosen is None else [block.works[at] for at in chosen.tolist()]
        )

    def fields(self, begin: bytes, shared: bytes) -> Bytes:
        """What stands before the fields of their work: `begin`, id, time, `shared`, tokens, amount and nothing reported."""
        count = len(self.works)
        columns: list[Bytes] = [
            filled(count, pattern(begin)),
            self._of(self._block.event_ids),
            filled(count, pattern(_8)),
            big_endian(self._of(self._block.occurred_us) - EPOCH_US, ">i8"),
            filled(count, pattern(shared)),
        ]
        for tokens in self._block.tokens[:4]:
            if isinstance(tokens, np.ndarray):
                columns += filled(count, pattern(_4)), big_endian(self._of(tokens), ">i4")
            else:
                columns.append(filled(count, pattern(counts[tokens])))
        columns += filled(count, pattern(_8)), big_endian(self._amounts, ">i8"), filled(count, pattern(NULL))
        return np.concatenate(columns, axis=1)

    def sums(self, said: Sequence[Said]) -> dict[Said, Totals]:
        """Their totals by what was said of the work of each."""
        numbers = {one: number for number, one in enumerate(dict.fromkeys(said))}
        if len(numbers) == 1:
            return {said[0]: self._totals(slice(None))}
        groups = np.array([numbers[one] for one in said])
        return {one: self._totals(groups == number) for one, number in numbers.items()}

    def _totals(self, some: Any) -> Totals:
        given, read, write, output = (
            self._of(tokens)[some] if isinstance(tokens, np.ndarray) else tokens
            for tokens in self._block.tokens[:4]
        )
        amounts = self._amounts[some]
        calls = len(amounts)
        cached = _sum(read, calls) + _sum(write, calls)
        return [calls, _sum(given, calls), cached, _sum(output, calls), _sum(amounts, calls)]

    def _of(self, column: NDArray[Any]) -> NDArray[Any]:
        return column if self._chosen is None else column[self._chosen]


def spending(block: Block, prices: PriceBook) -> Iterator[tuple[Charge, Spent]]:
    """The calls of a block by what they are charged by; the amount of that charge means nothing."""
    provider, model = block.meaning.provider, block.meaning.model_used or block.meaning.model_requested
    price = prices.always(provider, model)
    amounts = None if price is None else price.amounts(len(block), *block.tokens[:4])
    if price is not None and amounts is not None:
        yield Charge(0, price.currency, price.basis, price.ref), Spent(block, amounts)
        return
    charges = [
        prices.charge(provider=provider, model=model, at_us=at_us, usage=usage)
        for at_us, usage in zip(block.occurred_us.tolist(), _usages(block), strict=True)
    ]
    for charge in {charge[1:]: charge for charge in charges}.values():
        chosen = np.array([at for at, other in enumerate(charges) if other[1:] == charge[1:]], np.intp)
        yield charge, Spent(block, np.array([charges[at].amount for at in chosen], np.int64), chosen)


def _usages(block: Block) -> Iterator[Usage]:
    columns = [
        tokens.tolist() if isinstance(tokens, np.ndarray) else [tokens] * len(block)
        for tokens in block.tokens[:4]
    ]
    return map(Usage._make, zip(*columns, strict=True))


def _sum(values: Whole | int | None, calls: int) -> int:
    """An exact sum, however large: a column adds up in 64 bits only where it surely fits."""
    if not isinstance(values, np.ndarray):
        return (values or 0) * calls
    if int(values.max()) <= INT8_MAX // calls:
        return int(values.sum())
    return sum(values.tolist())
