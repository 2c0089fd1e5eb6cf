"""What costs plugs into ports of the apps below."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse

from arm import clock
from arm.errors import Problem
from arm.models import Tenant, User
from arm.panels import Entry, Panel, rights_of_visitor, seen_by_visitor
from arm.permissions import held_on, visible
from arm.rights import Right
from registry.engine import Fact
from registry.facts import Allowance, Budget, Carry, Pairs, RoleFact
from registry.gates import Verdict
from registry.models import AgentInstance, AgentVersion, DeploymentSlot, RoleDefinition
from registry.sections import PastLine, PastSection
from telemetry.parsing import Event
from telemetry.parsing.blocks import Block

from . import services
from .models import Cap, SpendRollup, money
from .queries import ledger_url, per_call, spent_on, spent_since

DAYS = 30


class Ledger:
    """settings.LEDGER: see telemetry.facts.Ledger."""

    def book(
        self,
        *,
        tenant_id: UUID,
        events: Sequence[Event],
        blocks: Sequence[Block] = (),
        codes: Mapping[str | None, bytes],
    ) -> services.Booking:
        return services.book(tenant_id=tenant_id, events=events, blocks=blocks, codes=codes)


class Allowances:
    """settings.ALLOWANCES: see registry.facts.Allowances."""

    def seen(self, instances: Collection[UUID], actor: User) -> dict[UUID, Allowance]:
        return services.allowances_of(instances, actor)

    def refusals(self, parent: AgentInstance, budget: Budget, actor: User) -> list[Problem]:
        return services.refusals(parent, budget, actor)

    def may_grant(self, parent: AgentInstance, actor: User) -> bool:
        return services.may_grant(parent, actor)

    def grant(
        self, child: AgentInstance, parent: AgentInstance, budget: Budget, actor: User, reason: str
    ) -> None:
        services.grant_cap(
            child=child,
            parent=parent,
            per_day=budget.amount,
            currency=budget.currency,
            actor=actor,
            reason=reason,
        )

    def drawn_from(self, child: AgentInstance) -> str:
        return services.drawn_from(child)


class CapsCarried:
    """settings.CARRIED_OVER: see registry.facts.CarriedOver."""

    kind = "cap"

    def own(self, instances: Collection[UUID], actor: User | None = None) -> Mapping[UUID, Sequence[str]]:
        return services.own_caps(instances, actor)

    def seen(self, rules: Collection[UUID], actor: User) -> Collection[UUID]:
        rows = Cap.objects.filter(pk__in=rules)
        return set(visible(rows, actor, Right.READ_LEDGER).values_list("pk", flat=True))

    def carry(self, pairs: Pairs, actor: User | None, reason: str) -> list[Carry]:
        return services.carry_caps(pairs, actor, reason)


class CapsThen:
    """`registry.sections.PastFact`: how much the instance might spend in a day. Caps are set here, so what had been told by
    a moment is what had happened by it."""

    def past(
        self, instance: AgentInstance, version: AgentVersion, at: datetime, known: datetime, actor: User
    ) -> PastSection | None:
        if Right.READ_LEDGER not in held_on(actor, instance):
            return None
        then = min(at, known)
        rows = Cap.objects.filter(Q(until=None) | Q(until__gt=then), instance=instance, since__lte=then)
        lines = [
            PastLine(label=f"{cap.per_day.normalize():f} {cap.currency} a day", text=f"cap {cap.typeid}", since=cap.since)
            for cap in visible(rows, actor, Right.READ_LEDGER)
        ]  # fmt: skip
        return PastSection("Cap then", lines, "It had no cap.")


class WithinCap:
    """Before Active: what the instance has spent today is within its cap. Who raises the cap lets it work on."""

    name = "within its cap"

    def check(self, instance: AgentInstance) -> Verdict:
        blind = services.unpriced_today(instance)
        if blind is not None:
            cap, model = blind
            said = (
                f"It called {model} today (UTC), which nobody has priced, and its cap {cap.typeid} counts that as"
                f" passed: somebody who holds “{Right.SET_BUDGET.value}” may set one that leaves such calls out."
            )
            return self._refused(instance, said)
        passed = services.passed_today(instance)
        if passed is None:
            return Verdict(self.name, True, "Its spend of today has not passed a cap.")
        cap, spent = passed
        whose = "It has" if cap.instance_id == instance.pk else f"{cap.instance}, which stands above it, has"
        said = (
            f"{whose} spent {spent:f} {cap.currency} today (UTC), and its cap {cap.typeid} is"
            f" {cap.per_day.normalize():f}: somebody who holds “{Right.SET_BUDGET.value}” may set a higher one."
        )
        return self._refused(cap.instance, said)

    def _refused(self, instance: AgentInstance, said: str) -> Verdict:
        mend = f"{reverse('costs:cap_set')}?instance={instance.typeid}"
        return Verdict(self.name, False, said, mend, Right.SET_BUDGET.value)


class CardBudget:
    """On an Agent Card: what the version's live instances may spend in a day, each."""

    name = "budget"

    def section(self, version: AgentVersion) -> dict[str, Any] | None:
        live = AgentInstance.objects.filter(version=version).live()
        caps = Cap.objects.filter(instance__in=live, until=None).select_related("instance").order_by("pk")
        said = [
            {
                "instanceId": cap.instance.typeid,
                "perDay": f"{cap.per_day.normalize():f}",
                "currency": cap.currency,
                "since": clock.stamp(cap.since),
            }
            for cap in caps
        ]
        return {"caps": said} if said else None


class Navigation:
    """The pages of costs."""

    entries = (
        Entry("Costs", "Spend", "costs:spend", Right.READ_LEDGER, "costs", "m"),
        Entry("Costs", "Ledger", "costs:ledger", Right.READ_LEDGER, "changes"),
        Entry("Costs", "Caps", "costs:cap_list", Right.READ_LEDGER, "stop"),
        Entry("Costs", "Rate card", "costs:rate_list", Right.READ_LEDGER, "settings"),
    )


class SpendToday:
    """On the fleet page: what was spent today (UTC) and yesterday, leading to the entries."""

    def panel(self, request: HttpRequest, subject: Tenant) -> Panel | None:
        if Right.READ_LEDGER.value not in rights_of_visitor(request):
            return None
        rows = visible(SpendRollup.objects.all(), request.user, Right.READ_LEDGER)
        today = clock.today()
        tiles = [
            {
                "currency": currency,
                "amount": amount,
                "calls": calls,
                "url": ledger_url({"since": today.isoformat(), "currency": currency}),
            }
            for currency, amount, calls in spent_on(rows, today)
        ]
        context = {"tiles": tiles, "currency": subject.currency, "url": reverse("costs:spend")}
        return Panel("Spend today", "costs/_home_spend.html", context, anchor="spend")


class _Spent:
    """On a page of the directory: what the last thirty days cost, leading to the entries, for who reads the ledger."""

    tag = ""
    path = ""
    """Where the sums have the subject; without one, under the tag."""

    def panel(self, request: HttpRequest, subject: Any) -> Panel | None:
        if Right.READ_LEDGER.value not in rights_of_visitor(request):
            return None
        rows = seen_by_visitor(
            SpendRollup.objects.filter(**{self.path or self.tag: subject}), request, Right.READ_LEDGER
        )
        since = clock.today() - timedelta(days=DAYS - 1)
        asked = {"since": since.isoformat(), self.tag: subject.typeid}
        lines = [
            {"currency": currency, "amount": amount, "calls": calls, "unpriced": unpriced,
             "url": ledger_url(asked | {"currency": currency})}
            for currency, amount, calls, unpriced in spent_since(rows, since)
        ]  # fmt: skip
        context = {
            "lines": lines,
            "days": DAYS,
            "label": f"Spent in {DAYS} days",
            "url": ledger_url(asked),
            **self.more(request, subject),
        }
        return Panel("Spend", "costs/_panel_spent.html", context, anchor="spend")

    def more(self, request: HttpRequest, subject: Any) -> dict[str, Any]:
        return {}


class TemplateSpend(_Spent):
    """All versions of the agent."""

    tag = "template"


class ProjectSpend(_Spent):
    """All agents that belong to the project now."""

    tag, path = "project", "template__project"


class VersionSpend(_Spent):
    """All instances of the version."""

    tag = "version"


class InstanceSpend(_Spent):
    """With the caps that hold now."""

    tag = "instance"

    def more(self, request: HttpRequest, subject: AgentInstance) -> dict[str, Any]:
        caps = Cap.objects.filter(instance=subject, until=None)
        return {"caps": list(seen_by_visitor(caps, request, Right.READ_LEDGER)), "capped": True}


class Health:
    """registry's port for rollouts: what a call costs, in percent of what it cost with the version before."""

    names = ("cost",)
    least = 5
    """Fewer calls say nothing."""
    looks_back = timedelta(days=1)

    def facts(
        self,
        *,
        version: AgentVersion,
        slots: Sequence[DeploymentSlot],
        since: datetime,
        against: AgentVersion | None,
        limits: Mapping[str, float],
    ) -> list[Fact]:
        limit = limits.get("cost", 150.0)
        now = per_call(version, slots, since, clock.now() + timedelta(minutes=15))
        before = per_call(against, slots, since - self.looks_back, since) if against else None
        if now is None or now.calls < self.least:
            return [
                Fact("cost", None, limit, None, "Too few priced calls came since the step began to tell.")
            ]
        if before is None or before.calls < self.least or not before.each:
            return [Fact("cost", None, limit, None, "Nothing is known of what the version before cost.")]
        if now.currency != before.currency:
            said = f"It is charged in {now.currency}, the version before in {before.currency}."
            return [Fact("cost", None, limit, None, said)]
        share = float(100 * now.each / before.each)
        said = (
            f"A call costs {money(now.each)} {now.currency}, {share:.0f} % of {money(before.each)} before"
            f" (at most {limit:g} %)."
        )
        return [Fact("cost", share, limit, share <= limit, said)]


def _told(amount: Decimal) -> str:
    """In cents; a fraction of one keeps its figures."""
    return f"{amount:,.2f}" if not amount or amount >= Decimal("0.01") else f"{amount.normalize():f}"


class RoleBudgets:
    """registry's port for roles: what the staff of a role has spent today and this month (UTC), against its budgets."""

    def facts(self, role: RoleDefinition) -> list[RoleFact]:
        today = clock.today()
        spans = (
            ("budget_per_day", role.budget_per_day, today, "today"),
            ("budget_per_month", role.budget_per_month, today.replace(day=1), "this month"),
        )
        found = []
        for name, limit, since, when in spans:
            if limit is None:
                continue
            rows = SpendRollup.objects.filter(tenant=role.tenant_id, role=role)
            spent = {row[0]: (row[1], row[3]) for row in spent_since(rows, since)}
            amount, blind = spent.get(role.currency, (Decimal(0), 0))
            said = f"Its staff has spent {_told(amount)} {role.currency} {when}, of {limit.normalize():f}."
            if others := sorted(spent.keys() - {role.currency}):
                said += f" What was charged in {', '.join(others)} is not counted."
            if blind:
                said += f" {blind} calls have no price."
            found.append(
                RoleFact(
                    name, amount, limit, role.currency, amount <= limit, said, Right.READ_LEDGER, costs=True
                )
            )
        return found
