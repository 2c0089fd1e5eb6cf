"""Caps: how much an instance may spend in a day, and what happens when it has."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from arm import changes, clock, ids, ports
from arm.errors import Conflict, Invalid
from arm.models import User
from arm.permissions import require
from arm.rights import Right
from registry.facts import Budget
from registry.lifecycle import InstanceState
from registry.models import AgentInstance
from registry.queries import line_above
from registry.queries.spawn import everyone_below
from registry.services import restrict_instance

from ..models import Cap, CapBreach, CostModel, SpendRollup, money
from ..pricing import Basis
from ..pricing.listed import CURRENCY as LISTED_IN
from .allowances import beyond_those_above, refusals, used_today

NAMELESS: Final = "a model without a name"


@dataclass(frozen=True, slots=True)
class Passed:
    """A cap that a day's spend has passed, as the sums said it."""

    tenant_id: UUID
    cap_id: UUID
    day: date
    spent: Decimal
    """Picos of the cap's currency."""
    unpriced_model: str = ""
    """A model without a price was called: that is why. Empty: the amount is."""


@transaction.atomic
def set_cap(
    *,
    instance: AgentInstance,
    per_day: Decimal,
    currency: str,
    actor: User,
    reason: str,
    unpriced: str = Cap.Unpriced.PASSES,
) -> Cap:
    """Hold the instance to `per_day` from now on; the cap that was in force ends. `unpriced`: see Cap.Unpriced.

    What its children spend counts as well; Invalid where somebody above it has a lower cap, which would hold first."""
    require(actor, Right.SET_BUDGET, instance)
    return _set(instance, per_day, currency, actor, reason, unpriced)


@transaction.atomic
def grant_cap(
    *, child: AgentInstance, parent: AgentInstance, per_day: Decimal, currency: str, actor: User, reason: str
) -> Cap:
    """The first cap of a child that is being started: what `refusals` lets the actor give away of its parent's. Invalid
    names why not. Changing it later takes the right to set budgets."""
    if problems := refusals(parent, Budget(per_day, currency), actor):
        raise Invalid(" ".join(one["message"] for one in problems), problems)
    return _set(child, per_day, currency, actor, reason, Cap.Unpriced.PASSES)


def _set(
    instance: AgentInstance, per_day: Decimal, currency: str, actor: User, reason: str, unpriced: str
) -> Cap:
    if not reason.strip():
        raise Invalid("Say why.", [{"pointer": "/reason", "code": "required", "message": "Give a reason."}])
    if not per_day.is_finite() or per_day <= 0:
        refusal = "The cap is an amount above zero."
        raise Invalid(refusal, [{"pointer": "/per_day", "code": "range", "message": refusal}])
    used = currencies(instance.tenant_id)
    if currency not in used:
        refusal = (
            f"Nothing is priced in {currency} here, so the cap would never hold; use {' or '.join(used)}."
        )
        raise Invalid(refusal, [{"pointer": "/currency", "code": "unused", "message": refusal}])
    if (over := beyond_those_above(instance, per_day, currency)) is not None:
        refusal = f"{over.instance}, which stands above it, may spend {over.per_day.normalize():f} {currency} a day: no more than that."
        raise Invalid(refusal, [{"pointer": "/per_day", "code": "above", "message": refusal}])
    AgentInstance.objects.select_for_update().get(pk=instance.pk)  # one cap at a time
    before = Cap.objects.filter(instance=instance, until=None).first()
    now = clock.now()
    if before is not None:
        Cap.objects.filter(pk=before.pk).update(until=now)
    cap = Cap.objects.create(
        tenant_id=instance.tenant_id,
        instance=instance,
        per_day=per_day,
        currency=currency,
        unpriced=unpriced,
        since=now,
        created_by=actor,
    )
    changes.record(
        actor,
        "costs.cap.set",
        cap,
        before=_said(before) if before else {},
        after={"instance": instance.typeid, **_said(cap)},
        reason=reason,
        links=[instance.typeid],
    )
    return cap


@transaction.atomic
def end_cap(*, cap: Cap, actor: User, reason: str) -> Cap:
    """The instance has no cap any more. Ending an ended cap is a Conflict."""
    require(actor, Right.SET_BUDGET, cap)
    cap = Cap.objects.select_for_update().get(pk=cap.pk)
    if cap.until is not None:
        raise Conflict("This cap has already ended.")
    cap.until = clock.now()
    cap.save(update_fields=["until"])
    changes.record(
        actor,
        "costs.cap.ended",
        cap,
        before=_said(cap),
        reason=reason,
    )
    return cap


@transaction.atomic
def pass_cap(passed: Passed) -> CapBreach | None:
    """An instance has spent more than its cap: open an incident and, if it is about today, make it read-only.

    A rule of ARM, without an actor. Once for each cap and day, however many batches notice; None when it was done.
    """
    cap = Cap.objects.select_for_update(of=("self",)).select_related("instance").get(pk=passed.cap_id)
    if CapBreach.objects.filter(cap=cap, day=passed.day).exists():
        return None
    spent = money(passed.spent).quantize(Decimal("0.000001"))
    if passed.unpriced_model:
        title = f"{cap.instance} calls a model without a price"
        sentence = (
            f"{cap.instance} called {passed.unpriced_model} on {passed.day}, which nobody has priced; its cap counts"
            f" that as passed. Set its price on the rate card."
        )
    else:
        title = f"{cap.instance} passed its daily cap"
        sentence = f"{cap.instance} spent {spent:f} {cap.currency} on {passed.day}; its cap is {cap.per_day.normalize():f}."
    facts = {"cap": cap.typeid, "day": str(passed.day), "spent": f"{spent:f}", "currency": cap.currency}
    if passed.unpriced_model:
        facts["unpriced_model"] = passed.unpriced_model
    incident_id = ports.incidents().open(
        tenant_id=cap.tenant_id,
        kind="cost_overrun",
        severity="s2",
        title=title,
        subject_kind="registry.agentinstance",
        subject_id=cap.instance_id,
        facts=facts,
    )
    restricted = passed.day == clock.today() and _restrict(cap, sentence, ids.encode("inc", incident_id))
    if passed.day == clock.today():
        _restrict_below(cap, sentence, ids.encode("inc", incident_id))
    breach = CapBreach.objects.create(
        tenant_id=cap.tenant_id,
        cap=cap,
        day=passed.day,
        amount_picos=passed.spent,
        incident_id=incident_id,
        restricted=restricted,
        unpriced_model=passed.unpriced_model[:200],
    )
    changes.record(
        None,
        "costs.cap.passed",
        cap,
        after={"day": passed.day, "spent": spent, "currency": cap.currency, "restricted": restricted},
        reason=sentence,
        links=[cap.instance.typeid, ids.encode("inc", incident_id)],
    )
    return breach


def currencies(tenant_id: UUID) -> list[str]:
    """What spend of this tenant may be in: the list prices', its rate card's, and what its ledger already holds."""
    rates = CostModel.objects.filter(tenant=tenant_id).order_by().values_list("currency", flat=True)
    ledger = SpendRollup.objects.filter(tenant=tenant_id).order_by().values_list("currency__text", flat=True)
    return sorted({LISTED_IN, *rates.distinct(), *ledger.distinct()})


def _said(cap: Cap) -> dict[str, object]:
    return {"per_day": cap.per_day, "currency": cap.currency, "unpriced": cap.unpriced}


def _restrict(cap: Cap, reason: str, incident: str) -> bool:
    """Whether the instance became read-only by this. One that is stopped harder already stays as it is."""
    return _made_read_only(cap.instance, reason, incident)


def _restrict_below(cap: Cap, reason: str, incident: str) -> None:
    """Whoever it started, and they, draws on what is used up."""
    below = AgentInstance.objects.filter(pk__in=everyone_below(cap.instance_id), state=InstanceState.ACTIVE)
    for instance in below.order_by("depth", "pk"):
        _made_read_only(instance, reason, incident)


def _made_read_only(instance: AgentInstance, reason: str, incident: str) -> bool:
    before = instance.state
    try:
        with transaction.atomic():
            restrict_instance(
                instance=instance, to=InstanceState.READ_ONLY, actor=None, reason=reason, links=[incident]
            )
    except Conflict:
        return False
    return before != InstanceState.READ_ONLY


def passed_today(instance: AgentInstance) -> tuple[Cap, Decimal] | None:
    """The cap in force, its own or of who stands above it, that today's spend is beyond, and that spend in the cap's
    currency. What those below have spent counts."""
    line = [row.pk for row in line_above(instance)] if instance.parent_id else [instance.pk]
    caps = list(Cap.objects.filter(instance__in=line, until=None).select_related("instance"))
    used = used_today([cap.instance_id for cap in caps]) if caps else {}
    for cap in sorted(caps, key=lambda one: line.index(one.instance_id)):
        spent = used.get((cap.instance_id, cap.currency), Decimal(0))
        if spent > cap.per_day:
            return cap, spent.quantize(Decimal("0.000001"))
    return None


def unpriced_today(instance: AgentInstance) -> tuple[Cap, str] | None:
    """The cap in force that counts calls without a price as passed, and the model of such a call of today."""
    cap = _with_unpriced_calls().filter(instance=instance).first()
    return None if cap is None else (cap, cap.unpriced_model)


def _with_unpriced_calls() -> QuerySet[Any]:
    """Caps in force that today's calls without a price count as passing; `unpriced_model` names one of the models."""
    used = Q(input_tokens__gt=0) | Q(cached_tokens__gt=0) | Q(output_tokens__gt=0)
    calls = SpendRollup.objects.filter(
        used, instance=OuterRef("instance"), day=clock.today(), basis=Basis.UNPRICED
    ).order_by("pk")
    named = calls.annotate(name=Coalesce("model__text", Value(NAMELESS))).values("name")[:1]
    caps = Cap.objects.filter(until=None, unpriced=Cap.Unpriced.PASSES).annotate(
        unpriced_model=Subquery(named)
    )
    found: QuerySet[Any] = caps.filter(unpriced_model__isnull=False)
    return found


_PASSED: Final = """
SELECT c.*, coalesce(d.amount_picos, 0) + coalesce(b.amount_picos, 0) AS spent FROM costs_cap c
LEFT JOIN costs_instanceday d ON d.instance_id = c.instance_id AND d.currency = c.currency AND d.day = %s
LEFT JOIN costs_belowday b ON b.instance_id = c.instance_id AND b.currency = c.currency AND b.day = %s
WHERE c.until IS NULL AND coalesce(d.amount_picos, 0) + coalesce(b.amount_picos, 0) > c.per_day * 1000000000000
  AND NOT EXISTS (SELECT FROM costs_capbreach h WHERE h.cap_id = c.id AND h.day = %s)
"""


def unsettled(tenant_id: UUID) -> list[Passed]:
    """Caps of today that are passed and not acted on: what a process that died after its commit has left behind."""
    spent = [
        Passed(tenant_id, cap.pk, clock.today(), cap.spent)  # type: ignore[attr-defined]
        for cap in Cap.objects.raw(_PASSED, [clock.today()] * 3)
    ]
    blind = (
        _with_unpriced_calls()
        .exclude(breaches__day=clock.today())
        .exclude(pk__in=[one.cap_id for one in spent])
    )
    return spent + [Passed(tenant_id, cap.pk, clock.today(), Decimal(0), cap.unpriced_model) for cap in blind]
