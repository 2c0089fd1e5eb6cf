"""What instances may spend that were started by others: their own caps, and those of everybody above them."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from uuid import UUID

from arm import clock, ids
from arm.errors import Problem
from arm.models import User
from arm.permissions import allowed, visible
from arm.rights import Right
from registry.facts import Allowance, Budget
from registry.models import AgentInstance
from registry.queries import line_above
from registry.queries.spawn import lines_above

from ..models import BelowDay, Cap, InstanceDay, money


def used_today(instances: Collection[UUID]) -> Mapping[tuple[UUID, str], Decimal]:
    """What each and everything below it has spent today (UTC), by instance and currency."""
    found: dict[tuple[UUID, str], Decimal] = {}
    for rows in (InstanceDay.objects.all(), BelowDay.objects.all()):
        held = rows.filter(instance__in=instances, day=clock.today())
        for key, currency, picos in held.values_list("instance_id", "currency", "amount_picos"):
            found[key, currency] = found.get((key, currency), Decimal(0)) + money(picos)
    return found


def allowances_of(instances: Collection[UUID], actor: User | None = None) -> dict[UUID, Allowance]:
    """What each may spend today, by its own cap or the nearest above it; as far as the actor reads the ledger of who
    has that cap, where one is named."""
    above = lines_above(instances)
    lines = {one: [one, *above.get(one, ())] for one in instances}
    bearers = {key for line in lines.values() for key in line}
    rows = Cap.objects.filter(instance__in=bearers, until=None)
    if actor is not None:
        rows = visible(rows, actor, Right.READ_LEDGER)
    caps = {cap.instance_id: cap for cap in rows}
    used = used_today(list(caps))
    found = {}
    for one, line in lines.items():
        held = [caps[key] for key in line if key in caps]
        if held:
            near = held[0]
            alike = [cap for cap in held if cap.currency == near.currency]
            spent = {cap.pk: used.get((cap.instance_id, cap.currency), Decimal(0)) for cap in alike}
            found[one] = Allowance(
                granted=near.per_day,
                used=_shown(spent[near.pk]),
                left=_shown(min(cap.per_day - spent[cap.pk] for cap in alike)),
                currency=near.currency,
                of=near.instance_id,
                own=near.instance_id == one,
            )
    return found


def refusals(parent: AgentInstance, budget: Budget, actor: User) -> list[Problem]:
    """Why a child of `parent` cannot be given this much. A parent without a limit sets none; below a cap of the parent's own
    a grant only restricts, so that whoever may provision may make it."""
    held = allowances_of([parent.pk]).get(parent.pk)
    if not may_grant(parent, actor, held):
        said = (
            f"{parent} has no cap of its own, so that a budget takes the right to {Right.SET_BUDGET.words}."
        )
        return [_problem("/budget", "right", said)]
    if held is None:
        return []
    if held.currency != budget.currency:
        message = f"What {parent} may spend is set in {held.currency}."
        return [_problem("/budget/currency", "currency", message)]
    if budget.amount > held.left:
        if not allowed(actor, Right.READ_LEDGER, parent):
            message = f"{parent} has not so much left today (UTC); a child gets no more than that."
            return [_problem("/budget/amount", "budget", message)]
        left = max(held.left, Decimal(0))
        message = f"{parent} has {left.normalize():f} {held.currency} left today (UTC); a child gets no more than that."
        return [_problem("/budget/amount", "budget", message)]
    return []


def may_grant(parent: AgentInstance, actor: User, held: Allowance | None = None) -> bool:
    """Whether the actor may give children of `parent` a budget: who sets budgets; and who provisions, where the parent has
    a cap of its own, so that what it grants only restricts. `held`: what the parent may spend, where that is known."""
    if allowed(actor, Right.SET_BUDGET, parent):
        return True
    held = held or allowances_of([parent.pk]).get(parent.pk)
    return held is not None and held.own and allowed(actor, Right.PROVISION_INSTANCE, parent)


def drawn_from(child: AgentInstance) -> str:
    """Whose cap a child without one of its own draws on, in words."""
    held = allowances_of([child.pk]).get(child.pk)
    return (
        f"draws on {held.granted.normalize():f} {held.currency} a day of {ids.encode('ins', held.of)}"
        if held
        else ""
    )


def beyond_those_above(instance: AgentInstance, per_day: Decimal, currency: str) -> Cap | None:
    """The lowest cap of who stands above the instance that is lower than this; None where there is none."""
    above = [row.pk for row in line_above(instance)][1:]
    lower = Cap.objects.filter(instance__in=above, until=None, currency=currency, per_day__lt=per_day)
    return lower.select_related("instance").order_by("per_day").first()


def _shown(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.000001"))


def _problem(pointer: str, code: str, message: str) -> Problem:
    return Problem(pointer=pointer, code=code, message=message)
