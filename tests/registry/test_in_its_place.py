"""An instance works where its version was released to: nobody goes around the channels by provisioning."""

from datetime import timedelta

import pytest
from django.urls import reverse

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services
from registry.gates import CHANNEL_ORDER, GateRefused
from registry.gates.placed import handed_down
from registry.lifecycle import InstanceState as S
from registry.lifecycle import VersionState
from registry.models import AgentInstance, AgentVersion
from registry.protocol.rows import read_instances
from tests import make
from tests.registry.releasing import Told, bound, running, started

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gates(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True})
    settings.ACTIVATION_GATES = ["registry.gates.VersionMayRun", "registry.gates.placed.InItsPlace"]


@pytest.fixture
def staging(tenant, rita, old):
    place = make.environment("staging", position=1, production=False)
    return bound(make.slot(environment=place, role=make.role("clerk")), old, actor=rita)


@pytest.fixture
def prod(staging, rita, old):
    place = make.environment("prod", name="Production", position=2)
    return bound(make.slot(environment=place, role=staging.role), old, actor=rita)


def provision(slot, version, actor, *, inside=True, name="clerk-1"):
    return services.provision_instance(
        version=version, environment=slot.environment, provider=slot.provider, slot=slot if inside else None,
        name=name, actor=actor, reason="Capacity",
    )  # fmt: skip


def activate(instance, actor):
    return services.move_instance(instance=instance, to=S.ACTIVE, actor=actor, reason="go")


def deprecate(version, by=None):
    AgentVersion.objects.filter(pk=version.pk).update(state=VersionState.DEPRECATED, rebind_by=by)
    version.refresh_from_db()


# in a slot


def test_a_slot_takes_instances_of_its_own_version_only(prod, dan, old, new):
    with pytest.raises(Invalid) as refused:
        provision(prod, new, dan)
    (problem,) = refused.value.extra["errors"]
    assert problem["pointer"] == "/slot" and f"is bound to {old}, not to {new}" in problem["message"]
    assert activate(provision(prod, old, dan), dan).state == S.ACTIVE


def test_a_table_of_instances_is_told_the_same(prod, tenant, dan, old, new):
    row = {
        "environment": prod.environment.slug,
        "provider": prod.provider.slug,
        "slot": prod.typeid,
        "name": "x",
    }
    read = read_instances([{**row, "version": new.typeid}, {**row, "version": old.typeid, "name": "y"}])
    with pytest.raises(Invalid) as refused:
        services.provision_instances(tenant=tenant, rows=read.rows, actor=dan, reason="a fleet")
    (problem,) = refused.value.extra["errors"]
    assert problem["pointer"] == "/rows/0/slot" and f"not to {new}" in problem["message"]


def test_what_a_slot_has_left_is_not_activated_there(prod, staging, rita, dan, old, new):
    waiting = provision(prod, old, dan)
    bound(staging, new, actor=rita)
    bound(prod, new, actor=rita)
    with pytest.raises(GateRefused, match=f"is bound to {new}, not to {old}"):
        activate(waiting, dan)


def test_an_empty_slot_is_filled_before_it_is_bound_and_works_after(staging, rita, dan, old):
    empty = make.slot(environment=staging.environment, role=staging.role)
    waiting = provision(empty, old, dan)
    with pytest.raises(GateRefused, match="is bound to nothing"):
        activate(waiting, dan)
    bound(empty, old, actor=rita)
    assert activate(waiting, dan).state == S.ACTIVE


def test_a_canary_and_what_is_handed_over_work_in_their_slot(prod, staging, rita, dan, old, new):
    bound(staging, new, actor=rita)
    paused, *_ = running(prod, old, 4)
    rollout = started(
        prod, new, rita, strategy="canary", percents=[50, 100], health_gates=["errors"], drain="replaced"
    )
    assert activate(new.instances.filter(slot=prod)[0], dan).state == S.ACTIVE
    services.restrict_instance(instance=paused, to=S.PAUSED, actor=dan, reason="wait")
    with clock.at(clock.now() + timedelta(minutes=11)):
        services.advance_rollout(rollout_id=rollout.pk)
    prod.refresh_from_db()
    assert prod.current_version == new and prod.handovers.open().filter(version=old).exists()
    assert activate(paused, dan).state == S.ACTIVE


# outside slots


def test_a_version_that_came_through_no_channel_does_not_work_beside_the_slots_of_production(prod, dan, new):
    aside = provision(prod, new, dan, inside=False)
    with pytest.raises(GateRefused, match="bound in no slot of Production, and has not come through"):
        activate(aside, dan)
    aside.refresh_from_db()
    assert aside.state == S.PROVISIONING


def test_what_stands_in_production_works_outside_its_slots_too(prod, dan, old):
    assert activate(provision(prod, old, dan, inside=False), dan).state == S.ACTIVE


def test_what_came_through_the_channel_before_works_outside_slots(prod, staging, rita, dan, new):
    bound(staging, new, actor=rita)
    assert activate(provision(prod, new, dan, inside=False), dan).state == S.ACTIVE


def test_what_bakes_in_the_channel_before_does_not(prod, staging, rita, dan, new):
    started(staging, new, rita, health_gates=["errors"])
    with pytest.raises(GateRefused, match="has not come through"):
        activate(provision(prod, new, dan, inside=False), dan)


def test_an_exception_lets_it_work_there(prod, tenant, dan, new):
    erin = make.hired("erin", "approver", tenant)
    services.grant_exception(
        slot=prod, version=new, gate=CHANNEL_ORDER, until=clock.now() + timedelta(days=1), actor=erin, reason="r"
    )  # fmt: skip
    assert activate(provision(prod, new, dan, inside=False), dan).state == S.ACTIVE


def test_outside_production_nothing_of_this_is_asked(staging, dan, new):
    assert activate(provision(staging, new, dan, inside=False), dan).state == S.ACTIVE


def test_an_exception_is_another_persons_word_here_too_and_stands_on_the_record(prod, tenant, dan, new):
    erin = make.hired("erin", "approver", tenant)
    make.grant(erin, tenant, *Right)
    one = services.grant_exception(
        slot=prod, version=new, gate=CHANNEL_ORDER, until=clock.now() + timedelta(days=1), actor=erin, reason="r"
    )  # fmt: skip
    aside = provision(prod, new, dan, inside=False)
    with pytest.raises(NotAllowed, match="another person activates it"):
        activate(aside, erin)
    activate(aside, dan)
    assert ChangeRecord.objects.get(verb="registry.instance.activated").links == [one.typeid]


# an agent that no slot ever had


@pytest.fixture
def stranger(prod):
    return make.approved()


def taken_over(slot, version, actor, name="ran-already"):
    row = {"version": version.typeid, "environment": slot.environment.slug, "provider": slot.provider.slug}
    rows = read_instances([row | {"name": name}]).rows
    (made,) = services.provision_instances(
        tenant=slot.tenant, rows=rows, actor=actor, reason="It ran before ARM"
    )
    return made


def test_an_agent_that_no_slot_ever_had_comes_to_production_through_the_channel_before(
    prod, staging, dan, stranger
):
    aside = provision(prod, stranger, dan, inside=False)
    with pytest.raises(GateRefused, match="has worked properly in staging, the channel before Production"):
        activate(aside, dan)
    activate(provision(staging, stranger, dan, inside=False), dan)
    assert activate(aside, dan).state == S.ACTIVE


def test_what_waits_or_was_taken_back_in_the_channel_before_proves_nothing(prod, staging, dan, stranger):
    before = provision(staging, stranger, dan, inside=False)
    aside = provision(prod, stranger, dan, inside=False)
    with pytest.raises(GateRefused, match="has worked properly"):
        activate(aside, dan)
    services.restrict_instance(instance=activate(before, dan), to=S.QUARANTINED, actor=dan, reason="lies")
    with pytest.raises(GateRefused, match="has worked properly"):
        activate(aside, dan)


def test_what_is_told_of_the_past_proves_nothing_either(prod, staging, tenant, dan, stranger):
    judy = make.hired("judy", "tenant_admin", tenant)
    with clock.at(clock.now() - timedelta(days=2)):
        before = provision(staging, stranger, dan, inside=False)
    services.tell_past(
        instance=before, state=S.ACTIVE, since=clock.now() - timedelta(days=3), actor=judy, reason="said"
    )
    with pytest.raises(GateRefused, match="has worked properly"):
        activate(provision(prod, stranger, dan, inside=False), dan)


def test_where_production_is_the_first_channel_nothing_is_before_it(tenant, dan):
    slot = make.slot(environment=make.environment("only", position=1))
    assert activate(provision(slot, make.approved(), dan, inside=False), dan).state == S.ACTIVE


def test_a_fleet_that_ran_before_arm_is_taken_over_by_rows_and_marked(prod, dan, stranger):
    other = make.approved(template=stranger.template)
    fleet = [taken_over(prod, stranger, dan), taken_over(prod, other, dan)]
    assert [activate(one, dan).state for one in fleet] == [S.ACTIVE, S.ACTIVE]
    assert list(AgentInstance.objects.filter(adopted=True).order_by("pk")) == fleet
    told = ChangeRecord.objects.filter(verb="registry.instance.provisioned", target_id=fleet[0].pk).get()
    assert told.after["adopted"] is True
    with pytest.raises(GateRefused, match="has worked properly"):
        activate(provision(prod, stranger, dan, inside=False), dan)


def test_once_a_fleet_works_a_table_brings_no_other_version_around_the_channels(prod, dan, stranger):
    activate(taken_over(prod, stranger, dan), dan)
    late = taken_over(prod, make.approved(template=stranger.template), dan)
    assert not late.adopted and taken_over(prod, stranger, dan, "one-more").adopted
    with pytest.raises(GateRefused, match="has worked properly"):
        activate(late, dan)


def test_what_slots_know_is_not_taken_over_by_a_table(prod, dan, new):
    late = taken_over(prod, new, dan)
    assert not late.adopted
    with pytest.raises(GateRefused, match="bound in no slot"):
        activate(late, dan)


def test_what_has_worked_in_production_before_works_again_after_a_pause(prod, dan, stranger):
    at_work = make.instance(version=stranger, environment=prod.environment, provider=prod.provider)
    services.restrict_instance(instance=at_work, to=S.PAUSED, actor=dan, reason="wait")
    assert activate(at_work, dan).state == S.ACTIVE


WAYS = [
    [S.PAUSED, S.ACTIVE],
    [S.PAUSED, S.READ_ONLY],
    [S.QUARANTINED, S.READ_ONLY],
    [S.QUARANTINED, S.ACTIVE],
]


def go(instance, way, actor):
    for state in way:
        services.move_instance(instance=instance, to=state, actor=actor, reason="on")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way))
def test_a_stop_is_no_way_around_the_channels(prod, dan, new, stranger, way):
    for version, said in ((new, "has not come through"), (stranger, "has worked properly")):
        waiting = provision(prod, version, dan, inside=False)
        with pytest.raises((GateRefused, Conflict)) as refused:
            go(waiting, way, dan)
        waiting.refresh_from_db()
        assert waiting.state == way[0]
        if way[0] is S.PAUSED:
            assert said in str(refused.value)


def test_the_page_says_of_every_way_what_is_missing(client, prod, dan, new):
    waiting = provision(prod, new, dan, inside=False)
    go(waiting, [S.PAUSED], dan)
    client.force_login(dan)
    steps = client.get(f"/api/v1/registry/instances/{waiting.typeid}/steps/").json()
    missing = {
        step["to"]: [one["gate"] for one in step["verdicts"] if not one["passed"]]
        for step in steps
        if not step["ready"]
    }
    assert missing["active"] == missing["read_only"] == ["released here"]
    assert missing["draining"] == ["has worked"] and "quarantined" not in missing
    page = client.get(reverse("registry:instance_move", args=[waiting.typeid]), {"to": "read_only"})
    assert "has not come through" in page.content.decode()


@pytest.mark.parametrize("state", [VersionState.DRAFT, VersionState.TESTING, VersionState.CANDIDATE])
def test_what_is_not_approved_does_not_read_in_production_either(prod, dan, old, state):
    waiting = provision(prod, old, dan, inside=False)
    AgentVersion.objects.filter(pk=old.pk).update(state=state)
    with pytest.raises(GateRefused, match=VersionState(state).label):
        go(waiting, [S.PAUSED, S.READ_ONLY], dan)


def test_what_never_worked_has_nothing_to_finish(prod, dan, old):
    waiting = provision(prod, old, dan)
    with pytest.raises(GateRefused, match=r"stays Paused: .* has never worked here"):
        go(waiting, [S.PAUSED, S.DRAINING], dan)
    go(waiting, [S.ACTIVE, S.PAUSED, S.DRAINING], dan)
    assert AgentInstance.objects.get(pk=waiting.pk).state == S.DRAINING


def test_what_is_paused_before_it_works_is_new_to_a_deprecated_version_still(prod, rita, dan, old):
    waiting = provision(prod, old, dan, inside=False)
    go(waiting, [S.PAUSED], dan)
    deprecate(old)
    with pytest.raises(GateRefused, match="nothing new"):
        go(waiting, [S.ACTIVE], dan)


def test_a_provider_that_was_closed_takes_nothing_that_never_worked_there(settings, prod, dan, old):
    settings.ACTIVATION_GATES = ["registry.gates.open_places.PlaceOpen"]
    worked, waiting = (provision(prod, old, dan, name=name) for name in ("worked", "waiting"))
    go(worked, [S.ACTIVE, S.PAUSED], dan)
    go(waiting, [S.PAUSED], dan)
    prod.provider.closed_at = clock.now()
    prod.provider.save()
    with pytest.raises(GateRefused, match="was closed on"):
        go(waiting, [S.ACTIVE], dan)
    go(worked, [S.ACTIVE], dan)
    assert AgentInstance.objects.get(pk=worked.pk).state == S.ACTIVE


def test_a_parent_that_never_worked_hands_nothing_down(prod, dan, stranger):
    parent = provision(prod, stranger, dan, inside=False)
    go(parent, [S.PAUSED], dan)
    assert not handed_down(AgentInstance.objects.get(pk=parent.pk), stranger, prod.environment)


def test_the_page_the_list_and_the_api_say_what_was_taken_over(client, prod, dan, stranger):
    one, other = taken_over(prod, stranger, dan), make.instance(environment=prod.environment)
    client.force_login(dan)
    assert "taken over as it ran" in client.get(one.get_absolute_url()).content.decode()
    rows = client.get("/api/v1/registry/instances/", {"adopted": "true"}).json()["results"]
    assert [row["id"] for row in rows] == [one.typeid] and rows[0]["adopted"] is True
    listed = client.get(reverse("registry:instance_list"), {"adopted": "true"}).content.decode()
    assert one.name in listed and other.name not in listed


# deprecated


def test_a_paused_instance_of_a_deprecated_version_may_work_again_where_it_is_bound(prod, dan, old):
    (one,) = running(prod, old, 1, state=S.PAUSED)
    deprecate(old, clock.now() - timedelta(days=1))
    assert activate(one, dan).state == S.ACTIVE


def test_a_paused_instance_of_a_deprecated_version_stays_where_the_slot_was_rebound(
    prod, staging, rita, dan, old, new
):
    (one,) = running(prod, old, 1, state=S.PAUSED)
    bound(staging, new, actor=rita)
    bound(prod, new, actor=rita)
    deprecate(old)
    with pytest.raises(GateRefused, match=f"is bound to {new}"):
        activate(one, dan)


def test_what_was_rolled_back_is_not_released(prod, dan, old):
    (one,) = running(prod, old, 1, state=S.PAUSED)
    deprecate(old)
    AgentVersion.objects.filter(pk=old.pk).update(rolled_back=True)
    with pytest.raises(GateRefused, match="was rolled back"):
        activate(one, dan)


def test_a_slot_that_binds_a_deprecated_version_is_filled_up_until_its_due_date(prod, dan, old):
    due = clock.now() + timedelta(days=1)
    deprecate(old, due)
    assert activate(provision(prod, old, dan), dan).state == S.ACTIVE
    waiting = provision(prod, old, dan, name="clerk-2")
    with pytest.raises(Conflict, match="nothing new is provisioned"):
        provision(prod, old, dan, inside=False)
    with clock.at(due + timedelta(minutes=1)):
        with pytest.raises(Conflict, match=f"had to be rebound by {due:%Y-%m-%d}"):
            provision(prod, old, dan)
        with pytest.raises(GateRefused, match="had to be rebound by"):
            activate(waiting, dan)
