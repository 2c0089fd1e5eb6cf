"""What holds for one instance alone holds for what replaces it: caps and policies, in a rollback, a rollout, an abort."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from arm import clock
from arm.models import ChangeRecord
from arm.rights import Right
from costs.models import Cap
from policy.models import Binding
from policy.queries.standing import load_agents, load_rules
from registry import queries, services, tasks
from registry.lifecycle import InstanceState as S
from registry.models import AgentInstance, InstanceStatus
from tests import make
from tests.registry.releasing import bound, running, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def rita(tenant):
    return make.hired("rita", "release_manager", tenant)


@pytest.fixture
def dan(tenant):
    return make.hired("dan", "fleet_operator", tenant)


@pytest.fixture
def old(tenant):
    return make.approved()


@pytest.fixture
def new(old):
    return make.approved(template=old.template)


@pytest.fixture
def slot(tenant, rita, old, new, settings):
    """Bound to `new`, after `old`; below a policy of tier 3 for everybody."""
    make.bound(tenant, tier=3)
    given, settings.BINDING_GATES = settings.BINDING_GATES, ["registry.gates.VersionMayBeBound"]
    place = make.environment("prod", name="Production", position=1)
    held = bound(make.slot(environment=place, role=make.role("clerk")), old, new, actor=rita)
    settings.BINDING_GATES = given
    return held


def tier(instance):
    return load_rules(instance.tenant_id).envelope_of(load_agents([instance.pk])[instance.pk]).tier


def cap(instance):
    return Cap.objects.filter(instance=instance, until=None).first()


def named(slot, version):
    """The version's instances in the slot, by name without the generation."""
    rows = AgentInstance.objects.filter(slot=slot, version=version).order_by("pk")
    return {row.name.partition("-g")[0]: row for row in rows}


def test_a_rollback_carries_cap_and_policy_over_and_every_real_gate_then_lets_it_work(
    tenant, slot, dan, old, new
):
    first, _ = running(slot, new, 2)
    given = make.cap(first, "5", unpriced=Cap.Unpriced.IGNORED)
    make.bound(first, tier=0)
    (rule,) = Binding.objects.in_force().filter(instance=first)
    assert tier(first) == 0
    made = services.roll_back_slot(slot=slot, actor=dan, reason="Slow", drain="replaced")
    found = named(slot, old)
    InstanceStatus.objects.filter(instance__in=found.values()).update(telemetry_at=clock.now())
    tasks.advance(tenant_id=tenant.pk)
    heir, other = found["clerk-0"], found["clerk-1"]
    heir.refresh_from_db()
    assert heir.state == S.ACTIVE and tier(heir) == 0 and tier(other) == 3
    copy = cap(heir)
    assert (copy.per_day, copy.currency, copy.unpriced) == (Decimal(5), "USD", "ignored")
    assert copy.created_by == given.created_by and cap(first) == given and cap(other) is None
    (bound_to,) = Binding.objects.in_force().filter(instance=heir)
    said = ChangeRecord.objects.get(verb="costs.cap.set", target_id=copy.pk)
    assert said.after["from"] == given.typeid and said.actor_id == dan.pk and first.typeid in said.links
    said = ChangeRecord.objects.get(verb="policy.binding.created", target_id=bound_to.pk)
    assert said.after["from"] == rule.typeid and rule.typeid in said.links
    kinds = [(one["kind"], one["source"], one["rule"], one["copy"]) for one in made.dossier["carried"]]
    assert kinds == [
        ("policy", first.typeid, rule.typeid, bound_to.typeid), ("cap", first.typeid, given.typeid, copy.typeid),
    ]  # fmt: skip
    act = ChangeRecord.objects.get(pk=made.change_id)
    assert act.after["carried"] == {"policy": 1, "cap": 1}


def test_the_preview_lists_what_is_carried_over_as_far_as_its_reader_may_see_it(slot, tenant, dan, new):
    (first,) = running(slot, new, 1)
    make.cap(first, "5")
    owner = make.bound(first, tier=0)
    alice = make.everything(make.user("alice", member_of=tenant), tenant)
    seen = queries.rollback_preview(slot, alice)
    assert seen.carried == (f"{first}: policy “{owner}”", f"{first}: cap of 5 USD a day")
    assert seen.carried_hidden == 0
    bob = make.user("bob", member_of=tenant)
    seen = queries.rollback_preview(slot, bob)
    assert seen.carried == () and seen.carried_hidden == 2
    client = Client()
    client.force_login(alice)
    page = client.get(reverse("registry:slot_roll_back", args=[slot.typeid])).content.decode()
    assert "cap of 5 USD a day" in page
    answer = client.get(f"/api/v1/registry/slots/{slot.typeid}/roll-back-preview/").json()
    assert answer["carried"] == list(queries.rollback_preview(slot, alice).carried)
    made = services.roll_back_slot(slot=slot, actor=alice, reason="Slow")
    page = client.get(made.get_absolute_url()).content.decode()
    assert "What was carried over" in page and cap(named(slot, made.to_version)["clerk-0"]).typeid in page

    vera = make.user("vera", member_of=tenant)
    make.grant(vera, tenant, Right.READ_DIRECTORY, Right.READ_POLICY)
    client.force_login(vera)
    page = client.get(made.get_absolute_url()).content.decode()
    rule, copy = (
        held.typeid
        for held in (Cap.objects.get(instance=first), cap(named(slot, made.to_version)["clerk-0"]))
    )
    assert rule not in page and copy not in page and "1 more that you may not see" in page
    for told in (
        client.get(f"/api/v1/registry/rollbacks/{made.typeid}/").json(),
        client.get("/api/v1/registry/rollbacks/").json()["results"][0],
    ):
        assert [one["kind"] for one in told["dossier"]["carried"]] == ["policy"]
        assert told["carried_hidden"] == 1 and rule not in str(told)
    make.grant(vera, tenant, Right.READ_LEDGER)
    told = client.get(f"/api/v1/registry/rollbacks/{made.typeid}/").json()
    assert (told["dossier"], told["carried_hidden"]) == (made.dossier, 0)


def test_canaries_of_each_step_are_like_others_and_no_cap_is_lost_or_doubled(slot, rita, new, settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    for number, one in enumerate(running(slot, new, 4), 1):
        make.cap(one, str(number))
    third = make.approved(template=new.template)
    rollout = started(slot, third, rita, strategy="canary", percents=[25, 50, 100], bake=timedelta())
    for step in (1, 2):
        AgentInstance.objects.filter(version=third).update(state=S.ACTIVE)
        services.confirm_step(rollout=rollout, step=step, actor=rita, reason="It does well")
    slot.refresh_from_db()
    assert slot.current_version == third
    assert sorted(cap(one).per_day for one in third.instances.all()) == [1, 2, 3, 4]


def test_what_works_there_already_stands_in_for_its_namesake_so_that_a_rule_does_not_end(slot, dan, old, new):
    one, _ = running(slot, new, 2)
    make.cap(one, "5")
    make.instance(
        version=old, environment=slot.environment, provider=slot.provider, slot=slot, role=slot.role,
        name="clerk-1-g2",
    )  # fmt: skip
    services.roll_back_slot(slot=slot, actor=dan, reason="Slow")
    found = named(slot, old)
    assert sorted(found) == ["clerk-0", "clerk-1"] and cap(found["clerk-0"]).per_day == 5
    assert cap(found["clerk-1"]) is None


def test_one_provisioned_by_hand_takes_the_place_of_whom_no_rule_holds_for(slot, dan, old, new):
    one, _ = running(slot, new, 2)
    make.cap(one, "5")
    make.instance(
        version=old,
        environment=slot.environment,
        provider=slot.provider,
        slot=slot,
        role=slot.role,
        name="mine",
    )
    services.roll_back_slot(slot=slot, actor=dan, reason="Slow")
    found = named(slot, old)
    assert sorted(found) == ["clerk-0", "mine"] and cap(found["clerk-0"]).per_day == 5
    assert cap(found["mine"]) is None


def test_a_rule_set_on_what_stands_in_stays(slot, dan, rita, new, settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    (one,) = running(slot, new, 1)
    third = make.approved(template=new.template)
    rollout = started(slot, third, rita, strategy="canary", percents=[50, 100], bake=timedelta())
    make.cap(one, "5")
    (canary,) = third.instances.all()
    make.bound(one, tier=0)
    services.confirm_step(rollout=rollout, step=1, actor=rita, reason="It does well")
    assert cap(canary).per_day == 5 and tier(canary) == 0, "set after the canary was provisioned"
    assert third.instances.count() == 1
