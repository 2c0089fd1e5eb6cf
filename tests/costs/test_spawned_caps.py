"""What a child may spend: its own cap, held to what its parent had left, and everything above it."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from arm.errors import Invalid, NotAllowed
from arm.models import ChangeRecord, User
from arm.rights import Right
from costs import services
from costs.models import BelowDay, Cap, CapBreach
from costs.plugins import WithinCap
from costs.services import booking
from costs.tasks import settle_caps
from registry import services as registry
from registry.facts import Budget
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, SpawnTerm
from registry.services.spawn import SpawnRefused
from tests import make
from tests.registry.genomes import example
from tests.telemetry.sending import a_batch, forget, send, sender

SPAWN = {"allowed": True, "max_depth": 3, "max_children": 5}


def may_spawn() -> tuple[AgentInstance, User]:
    template = make.template("boss", name="Boss")
    alice = make.everything(make.user("alice", member_of=template.tenant), template.tenant)
    version = registry.create_version(
        template=template, genome=example(template=None, spawn=SPAWN), actor=alice, reason="x"
    )
    return make.instance(version=version, name="boss", state=InstanceState.ACTIVE), alice


def capped(instance: AgentInstance, dollars: str, actor: User) -> Cap:
    return services.set_cap(
        instance=instance, per_day=Decimal(dollars), currency="USD", actor=actor, reason="x"
    )


def child_of(parent: AgentInstance, actor: User, budget: str = "", name: str = "child") -> AgentInstance:
    given = Budget(Decimal(budget), "USD") if budget else None
    return registry.spawn_instance(
        parent=parent, version=parent.version, name=name, actor=actor, reason="x", budget=given
    )


@pytest.mark.django_db
def test_a_granted_budget_is_a_cap_of_the_childs_own_and_the_term_says_so() -> None:
    boss, alice = may_spawn()
    capped(boss, "5", alice)
    child = child_of(boss, alice, "2")
    assert Cap.objects.get(instance=child, until=None).per_day == 2
    term = SpawnTerm.objects.get(instance=child, kind="budget")
    assert (term.origin, term.value) == ("granted", "2 USD a day; 2.50 EUR per run")
    heir = child_of(boss, alice, name="heir")
    assert not Cap.objects.filter(instance=heir).exists()
    term = SpawnTerm.objects.get(instance=heir, kind="budget")
    assert term.value == f"draws on 5 USD a day of {boss.typeid}; 2.50 EUR per run"


@pytest.mark.django_db
def test_no_more_is_granted_than_the_parent_has_left_and_nothing_is_stored() -> None:
    boss, alice = may_spawn()
    capped(boss, "5", alice)
    make.entry(boss, "0.0040")
    with pytest.raises(SpawnRefused) as refused:
        child_of(boss, alice, "5.01")
    assert [problem["pointer"] for problem in refused.value.extra["errors"]] == ["/budget/amount"]
    with pytest.raises(SpawnRefused) as refused:
        registry.spawn_instance(
            parent=boss,
            version=boss.version,
            name="c",
            actor=alice,
            reason="x",
            budget=Budget(Decimal(1), "EUR"),
        )
    assert [problem["pointer"] for problem in refused.value.extra["errors"]] == ["/budget/currency"]
    with pytest.raises(SpawnRefused) as refused:
        registry.spawn_instance(
            parent=boss,
            version=boss.version,
            name="c",
            actor=None,
            reason="x",
            budget=Budget(Decimal(1), "USD"),
        )
    assert "/budget" in [problem["pointer"] for problem in refused.value.extra["errors"]]
    assert not boss.children.exists()


@pytest.mark.django_db
def test_who_may_provision_grants_what_a_cap_of_the_parents_own_leaves_and_nothing_else() -> None:
    boss, alice = may_spawn()
    rita = make.hired("rita", "fleet_operator", boss.tenant)
    child_of(boss, rita)
    with pytest.raises(SpawnRefused) as refused:
        child_of(boss, rita, "1", name="other")
    assert [problem["code"] for problem in refused.value.extra["errors"]] == ["right"]
    capped(boss, "5", alice)
    with pytest.raises(SpawnRefused) as refused:
        child_of(boss, rita, "5.01", name="other")
    assert [problem["code"] for problem in refused.value.extra["errors"]] == ["budget"]
    child = child_of(boss, rita, "2", name="other")
    cap = Cap.objects.get(instance=child, until=None)
    assert (cap.per_day, cap.created_by) == (2, rita)
    with pytest.raises(NotAllowed):
        capped(child, "1", rita)
    heir = child_of(boss, alice, name="heir")
    type(heir).objects.filter(pk=heir.pk).update(state=InstanceState.ACTIVE)
    with pytest.raises(SpawnRefused) as refused:
        child_of(heir, rita, "1", name="grandchild")
    assert [problem["code"] for problem in refused.value.extra["errors"]] == ["right"], (
        "the cap is its parent's"
    )


@pytest.mark.django_db
def test_what_is_left_is_told_to_nobody_who_does_not_read_the_ledger() -> None:
    boss, alice = may_spawn()
    capped(boss, "5", alice)
    rita = make.user("rita", member_of=boss.tenant)
    make.grant(rita, boss.tenant, Right.PROVISION_INSTANCE, Right.READ_DIRECTORY)
    with pytest.raises(SpawnRefused) as refused:
        child_of(boss, rita, "6")
    assert "has not so much left" in str(refused.value) and "5 USD" not in str(refused.value)


@pytest.mark.django_db
def test_the_form_asks_for_a_budget_only_where_its_reader_may_grant_one() -> None:
    boss, alice = may_spawn()
    client = Client()
    client.force_login(make.hired("rita", "fleet_operator", boss.tenant))
    address = f"/registry/instances/{boss.typeid}/spawn/"
    assert 'name="per_day"' not in client.get(address).content.decode()
    sent = {"version": boss.version.typeid, "name": "child", "reason": "x"}
    assert client.post(address, sent).status_code == 302
    capped(boss, "5", alice)
    assert 'name="per_day"' in client.get(address).content.decode()
    sent |= {"name": "other", "per_day": "2", "currency": "USD"}
    assert client.post(address, sent).status_code == 302
    assert Cap.objects.get(instance__name="other", until=None).per_day == 2


@pytest.mark.django_db
def test_raising_the_parents_cap_does_not_raise_a_granted_childs_and_the_childs_stays_below_it() -> None:
    boss, alice = may_spawn()
    capped(boss, "5", alice)
    child = child_of(boss, alice, "2")
    capped(boss, "50", alice)
    assert Cap.objects.get(instance=child, until=None).per_day == 2
    capped(child, "50", alice)
    with pytest.raises(Invalid) as refused:
        capped(child, "50.01", alice)
    assert [problem["pointer"] for problem in refused.value.errors] == ["/per_day"]


@pytest.mark.django_db
def test_tree_and_page_show_granted_used_and_left_to_who_reads_the_ledger() -> None:
    boss, alice = may_spawn()
    capped(boss, "5", alice)
    child, heir = child_of(boss, alice, "2"), child_of(boss, alice, name="heir")
    client = Client()
    client.force_login(alice)
    nodes = client.get(f"/api/v1/registry/instances/{boss.typeid}/spawn-tree/").json()["nodes"]
    said = {node["id"]: node["budget"] for node in nodes}
    assert said[child.typeid] == {
        "granted": "2.000000", "used": "0.000000", "left": "2.000000", "currency": "USD", "of": child.typeid, "own": True,
    }  # fmt: skip
    assert (said[heir.typeid]["of"], said[heir.typeid]["own"]) == (boss.typeid, False)
    page = client.get(f"/registry/instances/{boss.typeid}/spawn-tree/").content.decode()
    assert "May spend today" in page and "of what stands above it" in page
    rita = make.user("rita", member_of=boss.tenant)
    make.grant(rita, boss.tenant, Right.READ_DIRECTORY)
    reader = Client()
    reader.force_login(rita)
    nodes = reader.get(f"/api/v1/registry/instances/{boss.typeid}/spawn-tree/").json()["nodes"]
    assert {node["budget"] for node in nodes} == {None}


@pytest.mark.django_db
def test_the_api_and_the_form_grant_a_budget() -> None:
    boss, alice = may_spawn()
    capped(boss, "5", alice)
    client = Client()
    client.force_login(alice)
    body = {
        "version": boss.version.typeid,
        "name": "by-api",
        "reason": "x",
        "budget": {"amount": "1.5", "currency": "USD"},
    }
    made = client.post(
        f"/api/v1/registry/instances/{boss.typeid}/spawn/", body, content_type="application/json"
    )
    assert made.status_code == 201, made.content
    refused = client.post(
        f"/api/v1/registry/instances/{boss.typeid}/spawn/",
        body | {"budget": {"amount": "-1", "currency": "usd"}},
        content_type="application/json",
    )
    assert {error["pointer"] for error in refused.json()["errors"]} == {"/budget/amount", "/budget/currency"}
    sent = client.post(
        f"/registry/instances/{boss.typeid}/spawn/",
        {"version": boss.version.typeid, "name": "by-form", "reason": "x", "per_day": "1", "currency": "USD"},
    )
    assert sent.status_code == 302, sent.content
    amounts = Cap.objects.filter(instance__parent=boss).order_by("per_day").values_list("per_day", flat=True)
    assert [amount.normalize() for amount in amounts] == [Decimal(1), Decimal("1.5")]


# --- spend, booked as it arrives -----------------------------------------------------------------------------


@pytest.fixture
def booked(committed: Any) -> Any:
    forget()
    yield
    forget()


def line_of_three() -> tuple[AgentInstance, AgentInstance, AgentInstance, str, User]:
    """A boss with its ingest key, its child and its grandchild, all at work."""
    boss, token = sender()
    alice = make.everything(make.user(member_of=boss.tenant), boss.tenant)
    like = {"version": boss.version, "environment": boss.environment, "provider": boss.provider}
    child = make.instance(name="child", parent=boss, depth=1, **like)
    return boss, child, make.instance(name="grandchild", parent=child, depth=2, **like), token, alice


def states(*instances: AgentInstance) -> list[str]:
    return [AgentInstance.objects.get(pk=one.pk).state for one in instances]


def test_what_a_grandchild_spends_counts_above_it_and_stops_everybody_who_draws_on_it(booked: Any) -> None:
    boss, child, grandchild, token, alice = line_of_three()
    cap = capped(boss, "0.0150", alice)
    send(a_batch(grandchild), token)  # 0.0120
    assert states(boss, child, grandchild) == ["active"] * 3
    assert {row.instance_id: row.amount_picos for row in BelowDay.objects.all()} == {
        boss.pk: Decimal(12000000000), child.pk: Decimal(12000000000),
    }  # fmt: skip
    send(a_batch(boss, number=1), token)
    assert states(boss, child, grandchild) == ["read_only"] * 3
    assert CapBreach.objects.get().cap == cap
    assert CapBreach.objects.get().amount == Decimal("0.016")
    verdict = WithinCap().check(AgentInstance.objects.get(pk=grandchild.pk))
    assert not verdict.passed and "which stands above it" in verdict.reason


def test_a_granted_child_that_passes_its_own_cap_is_stopped_and_its_parent_works_on(booked: Any) -> None:
    boss, child, grandchild, token, alice = line_of_three()
    capped(boss, "5", alice)
    capped(child, "0.0100", alice)
    send(a_batch(grandchild), token)
    assert states(boss, child, grandchild) == ["active", "read_only", "read_only"]
    assert ChangeRecord.objects.filter(verb="costs.cap.passed").count() == 1


def test_what_a_dead_process_left_undone_below_the_schedule_does(booked: Any, monkeypatch: Any) -> None:
    boss, child, _, token, alice = line_of_three()
    capped(boss, "0.0010", alice)
    monkeypatch.setattr(booking.Booking, "settle", lambda self: None)
    assert send(a_batch(child), token).status == 200
    assert states(boss) == ["active"]
    assert settle_caps(tenant_id=boss.tenant_id) == 1
    assert states(boss, child) == ["read_only"] * 2
    assert AgentInstance.objects.get(pk=boss.pk).state == InstanceState.READ_ONLY
