"""What the demo's people let agents spend: a negotiated rate, caps, and what an instance hands on to one that it starts."""

from datetime import timedelta
from decimal import Decimal

from arm.demo import Demo
from costs import services
from costs.models import Cap
from registry.facts import Budget
from registry.lifecycle import InstanceState
from registry.models import AgentInstance
from registry.services import spawn_instance


def set_budget(demo: Demo) -> None:
    """A negotiated rate, and a daily cap for every tenth instance."""
    ivan = demo.people["ivan"]
    with demo.at(demo.start):
        services.add_rate(
            tenant=demo.tenant, provider="openai", model="gpt-4o*", currency="USD", actor=ivan, reason="Yearly agreement",
            prices={"input_mtok": Decimal("2.25"), "cache_read_mtok": Decimal("1.10"), "output_mtok": Decimal("9.00")},
        )  # fmt: skip
    for number, instance in enumerate(AgentInstance.objects.filter(tenant=demo.tenant).order_by("pk")):
        if number % 10 == 0:
            with demo.at(instance.created_at):
                services.set_cap(
                    instance=instance, per_day=Decimal(25 + 25 * (number % 3)), currency="USD", actor=ivan,
                    reason="Budget of the team",
                )  # fmt: skip


def grant(demo: Demo) -> None:
    """One that has started helpers starts another with a budget of its own, which is a part of what it may spend itself."""
    rows = AgentInstance.objects.filter(tenant=demo.tenant, state=InstanceState.ACTIVE)
    parent = rows.exclude(children=None).select_related("version__template").order_by("pk").first()
    if parent is None:
        return  # nobody has started anybody
    if not Cap.objects.filter(instance=parent, until=None).exists():
        with demo.at(demo.now - timedelta(hours=6)):
            services.set_cap(
                instance=parent, per_day=Decimal(25), currency="USD", actor=demo.people["ivan"], reason="Budget of the team"
            )  # fmt: skip
    with demo.at(demo.now - timedelta(hours=5)):
        spawn_instance(
            parent=parent, version=parent.version, name=f"{parent.name}-helper-of-the-month-end", budget=Budget(Decimal(5), "USD"),
            actor=demo.people["dan"], reason="The month ends; no more than this a day",
        )  # fmt: skip
