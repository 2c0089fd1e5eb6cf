"""What was spent, and how much may be."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F

from arm import clock
from costs.models import Cap, CostModel, LedgerEntry, SpendRollup
from costs.pricing import PICOS, Basis
from registry.models import AgentInstance
from telemetry.services import partitions

from .core import _n, _tenant, as_the_owner, user
from .directory import instance
from .happenings import code


@as_the_owner()
def entry(of: AgentInstance | None = None, amount: str = "0.0040", **kw: Any) -> LedgerEntry:
    """A ledger entry of an instance, just now, and its share of the day's sums; names are given as text."""
    runner = of or instance()
    at = kw.pop("occurred_at", None) or clock.now()
    partitions.ensure([at.date()])
    for name in ("currency", "price_ref", "model_provider", "model", "cost_center", "outcome"):
        if isinstance(kw.get(name), str):
            kw[name] = code(kw[name], runner.tenant)
    kw.setdefault("currency", code("USD", runner.tenant))
    tags = {
        "tenant": runner.tenant,
        "environment": runner.environment,
        "template": runner.template,
        "version": runner.version,
        "instance": runner,
        "role": runner.role,
        "basis": kw.pop("basis", Basis.LIST),
        **{name: kw.get(name) for name in ("currency", "model_provider", "model", "cost_center", "outcome")},
    }
    picos = int(Decimal(amount) * PICOS)
    tokens = {"input_tokens": kw.pop("input_tokens", 1000), "output_tokens": kw.pop("output_tokens", 200)}
    row = LedgerEntry.objects.create(
        entry_id=UUID(int=int(at.timestamp() * 1000) << 80 | 0x8 << 76 | 0b10 << 62 | next(_n)),
        occurred_at=at,
        provider=runner.provider,
        amount_picos=picos,
        **(tags | tokens | kw),
    )
    day, _ = SpendRollup.objects.get_or_create(
        day=at.date(),
        attributed=not row.unattributed,
        **tags,
        defaults={"calls": 0, "input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "amount_picos": 0},
    )
    SpendRollup.objects.filter(pk=day.pk).update(
        calls=F("calls") + 1,
        input_tokens=F("input_tokens") + tokens["input_tokens"],
        output_tokens=F("output_tokens") + tokens["output_tokens"],
        amount_picos=F("amount_picos") + picos,
    )
    return row


def cap(of: AgentInstance | None = None, per_day: str = "5", **kw: Any) -> Cap:
    held = of or instance()
    by = kw.pop("created_by", None) or user(member_of=held.tenant)
    return Cap.objects.create(
        tenant=held.tenant, instance=held, per_day=Decimal(per_day), created_by=by, **kw
    )


def rate(model: str = "gpt-4o", **kw: Any) -> CostModel:
    owner = _tenant(kw)
    by = kw.pop("created_by", None) or user(member_of=owner)
    prices = {"input_mtok": Decimal(2), "output_mtok": Decimal(8), "digest": "sha256:" + "0" * 64}
    return CostModel.objects.create(tenant=owner, model=model, created_by=by, **(prices | kw))
