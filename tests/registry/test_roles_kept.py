"""A role's budgets and objectives are measured: shown beside it, and told once where its staff does not keep them."""

from datetime import timedelta
from decimal import Decimal

import pytest

from arm import clock
from arm.rights import Right
from registry import services
from registry.facts import role_facts
from telemetry.models import Incident
from telemetry.parsing import EventType, Status
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def clerk(tenant):
    return make.role(
        "clerk", name="Clerk", budget_per_day=Decimal(5), budget_per_month=Decimal(50), currency="USD",
        success_rate=Decimal(90), latency_ms=1000,
    )  # fmt: skip


@pytest.fixture
def staff(clerk):
    return make.instance(role=clerk)


def ran(instance, number, *, failed=0, duration=100, ago=timedelta(minutes=5)):
    for n in range(number):
        make.event(
            instance, type=EventType.AGENT_RUN, status=Status.ERROR if n < failed else Status.OK,
            duration_ms=duration, occurred_at=clock.now() - ago,
        )  # fmt: skip


def facts(role):
    return {fact.name: fact for fact in role_facts(role)}


def look(tenant):
    return services.tell_lacking(tenant_id=tenant.pk)


def test_what_the_staff_spends_counts_against_the_budget_of_the_role(clerk, staff):
    make.entry(staff, "3.50")
    make.entry(make.instance(), "100.00")
    assert (facts(clerk)["budget_per_day"].value, facts(clerk)["budget_per_day"].ok) == (Decimal("3.5"), True)
    make.entry(staff, "2.00")
    day = facts(clerk)["budget_per_day"]
    assert day.ok is False and "spent 5.50 USD today, of 5." in day.sentence
    assert facts(clerk)["budget_per_month"].ok is True


def test_runs_of_the_last_day_are_held_against_the_objectives(clerk, staff):
    ran(staff, 19, duration=100)
    assert {fact.ok for name, fact in facts(clerk).items() if "budget" not in name} == {None}, "too few"
    ran(staff, 1, failed=1, duration=5000)
    ran(make.instance(), 30, failed=30)
    ran(staff, 30, failed=30, ago=timedelta(days=2))
    assert (facts(clerk)["success_rate"].value, facts(clerk)["success_rate"].ok) == (Decimal(95), True)
    assert (facts(clerk)["latency_ms"].value, facts(clerk)["latency_ms"].ok) == (Decimal(100), True)
    ran(staff, 2, failed=2, duration=5000)
    assert facts(clerk)["success_rate"].ok is False and facts(clerk)["latency_ms"].ok is False


def test_a_role_that_asks_nothing_of_this_is_not_measured(tenant):
    assert role_facts(make.role("idle")) == []


def test_what_is_not_kept_is_told_once_and_anew_when_it_comes_back(tenant, clerk, staff):
    assert look(tenant) == 0
    make.entry(staff, "6.00")
    assert look(tenant) == 1 and look(tenant) == 0
    incident = Incident.objects.get()
    assert incident.title == "Clerk has spent more than its budget" and incident.kind == "cost_overrun"
    Incident.objects.update(state="resolved", root_cause="x", remediation="y")
    clerk.refresh_from_db()
    clerk.budget_per_day = Decimal(10)
    clerk.save(update_fields=["budget_per_day"])
    assert look(tenant) == 0
    make.entry(staff, "6.00")
    assert look(tenant) == 1
    ran(staff, 20, failed=20)
    assert look(tenant) == 1
    assert set(Incident.objects.values_list("kind", flat=True)) == {"cost_overrun", "quality_regression"}


def test_page_and_api_show_it_to_who_reads_spend_and_telemetry(client, tenant, clerk, staff):
    make.entry(staff, "6.00")
    alice, bob = make.user("alice", member_of=tenant), make.user("bob", member_of=tenant)
    make.grant(alice, tenant, Right.READ_DIRECTORY, Right.READ_LEDGER)
    make.grant(bob, tenant, Right.READ_DIRECTORY)
    where = f"/api/v1/registry/roles/{clerk.typeid}/kept/"
    client.force_login(alice)
    assert "Not kept" in client.get(clerk.get_absolute_url()).content.decode()
    shown = {row["name"]: row["ok"] for row in client.get(where).json()}
    assert shown == {"budget_per_day": False, "budget_per_month": True}
    client.force_login(bob)
    assert "Budget and objectives" not in client.get(clerk.get_absolute_url()).content.decode()
    assert client.get(where).json() == []
