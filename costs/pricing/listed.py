"""List prices: the snapshot of genai-prices that is pinned with this release. It never asks the network."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import genai_prices.data
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ModelPrice, TieredPrices

from costs.pricing.amounts import Basis, Price, rates

CURRENCY: Final = "USD"
PROVIDERS: Final[Mapping[str, str]] = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "vertex_ai": "google",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "moonshot_ai": "moonshotai",
}
"""`gen_ai.provider.name` → the provider's id in genai-prices, where they differ."""

_TOKEN_KEYS = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok")
At = Callable[[datetime], Price | None]


@cache
def reference() -> str:
    """`genai-prices@<version>#<sha256>` of the pinned price data, so that an amount can be worked out again."""
    file = genai_prices.data.__file__
    assert file is not None
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return f"genai-prices@{version('genai-prices')}#{digest}"


@cache
def _snapshot() -> DataSnapshot:
    # Built here, not asked of the library's global: an auto-update elsewhere must not change what a price_ref means.
    return DataSnapshot(providers=genai_prices.data.providers, from_auto_update=False)


def find(provider: str | None, model: str) -> Price | At | None:
    """The list price of a model, a function of the time where it varies, or None.

    A provider that nobody lists may resell a listed model: then the price found by the model's name is an estimate.
    """
    name = PROVIDERS.get(provider.lower(), provider) if provider else None
    basis = Basis.LIST
    try:
        found = _snapshot().find_provider_model(model, None, name, None)[1]
    except LookupError:
        try:
            found = _snapshot().find_provider_model(model, None, None, None)[1]
        except LookupError:
            return None
        basis = Basis.ESTIMATED
    if name is None:
        basis = Basis.ESTIMATED
    if isinstance(found.prices, ModelPrice):
        return _price(found.prices, basis)
    steps = [(step.constraint, _price(step.prices, basis)) for step in found.prices]

    def at(moment: datetime) -> Price | None:
        for constraint, price in reversed(steps):
            if constraint is None or constraint.active(moment):
                return price
        return steps[0][1]

    return at


def _price(model: ModelPrice, basis: Basis) -> Price | None:
    """The compiled price; None for a model that is not sold by tokens or calls."""
    listed: dict[str, Decimal | TieredPrices | None] = {key: getattr(model, key) for key in _TOKEN_KEYS}
    per_thousand = model.requests_kcount
    per_call = per_thousand / 1000 if isinstance(per_thousand, Decimal) else None
    if per_call is None and not any(listed.values()):
        return None if all(value is None for value in listed.values()) else _free(basis)
    thresholds = sorted(
        {tier.start for value in listed.values() if isinstance(value, TieredPrices) for tier in value.tiers},
        reverse=True,
    )
    tiers = tuple(
        (start, rates(per_call=per_call, **{key: _above(value, start) for key, value in listed.items()}))
        for start in thresholds
    )
    base = rates(per_call=per_call, **{key: _above(value, -1) for key, value in listed.items()})
    return Price(base, CURRENCY, basis, reference(), tiers)


def _free(basis: Basis) -> Price:
    return Price(rates(input_mtok=Decimal(0), output_mtok=Decimal(0)), CURRENCY, basis, reference())


def _above(value: Decimal | TieredPrices | None, start: int) -> Decimal | None:
    """The price per million tokens once the input is larger than `start` (-1: the base price)."""
    if not isinstance(value, TieredPrices):
        return value
    passed = [tier.price for tier in value.tiers if tier.start <= start]
    return passed[-1] if passed else value.base
