"""The tenant's rate card: lines are added and ended, never changed."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from arm import changes, clock, crypto
from arm.errors import Conflict, Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import require
from arm.rights import Right

from ..models import CostModel


@transaction.atomic
def add_rate(
    *,
    tenant: Tenant,
    model: str,
    provider: str,
    currency: str,
    prices: Mapping[str, Decimal | None],
    actor: User,
    reason: str,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> CostModel:
    """A line of the rate card. `prices` holds input_mtok, output_mtok and perhaps cache_read_mtok, cache_write_mtok,
    per_call, in the currency's own unit. Amounts that are booked already stay as they are."""
    require(actor, Right.EDIT_RATES, tenant)
    starts_at = starts_at or clock.now()
    problems: list[Problem] = []
    for name in ("input_mtok", "output_mtok"):
        if prices.get(name) is None:
            problems.append(Problem(pointer=f"/{name}", code="required", message="Give a price."))
    for name, price in prices.items():
        if price is not None and not 0 <= price < 1_000_000_000:
            problems.append(Problem(pointer=f"/{name}", code="range", message="A price is zero or more."))
    if not model.strip("*").strip() or "*" in model[:-1]:
        problems.append(
            Problem(pointer="/model", code="pattern", message="Name a model; only its end may be a *.")
        )
    if ends_at is not None and ends_at <= starts_at:
        problems.append(Problem(pointer="/ends_at", code="range", message="It would end before it starts."))
    if problems:
        raise Invalid("This rate cannot be used.", problems)
    if CostModel.objects.filter(tenant=tenant, provider=provider, model=model, starts_at=starts_at).exists():
        raise Conflict("There is a rate for this model that starts at the same time.")
    values: dict[str, Any] = {
        name: prices.get(name) for name in ("input_mtok", "cache_read_mtok", "cache_write_mtok")
    }
    values |= {"output_mtok": prices["output_mtok"], "per_call": prices.get("per_call") or Decimal(0)}
    said: dict[str, str | None] = {
        "provider": provider,
        "model": model,
        "currency": currency,
        "starts_at": starts_at.isoformat(),
    }
    said |= {name: None if value is None else f"{value.normalize():f}" for name, value in values.items()}
    rate = CostModel.objects.create(
        tenant=tenant,
        provider=provider,
        model=model,
        currency=currency,
        starts_at=starts_at,
        ends_at=ends_at,
        digest=crypto.digest(crypto.canonical(said)),
        created_by=actor,
        **values,
    )
    changes.record(actor, "costs.rate.added", rate, after=said, reason=reason)
    return rate


@transaction.atomic
def end_rate(*, rate: CostModel, actor: User, reason: str) -> CostModel:
    """From now on the line prices nothing."""
    require(actor, Right.EDIT_RATES, rate)
    rate = CostModel.objects.select_for_update().get(pk=rate.pk)
    now = clock.now()
    if rate.ends_at is not None and rate.ends_at <= now:
        raise Conflict("This rate has already ended.")
    if rate.starts_at >= now:
        raise Conflict("This rate has not started yet; it would end before it starts.")
    rate.ends_at = now
    rate.save(update_fields=["ends_at"])
    changes.record(actor, "costs.rate.ended", rate, after={"ends_at": rate.ends_at}, reason=reason)
    return rate
