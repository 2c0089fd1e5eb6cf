"""A rollout goes step by step, and only as far as somebody vouches for it."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import IntegrityError, transaction

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services, tasks
from registry.gates import CHANNEL_ORDER, GateRefused
from registry.lifecycle import InstanceState
from registry.models import Rollout, RolloutSlot, SlotBinding
from telemetry.models import Incident
from telemetry.services import mitigate, resolve
from tests import make
from tests.registry.releasing import Told, bound, planned, running, started, states

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=11)


@pytest.fixture(autouse=True)
def plugged(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True, "incidents": True, "cost": True})


@pytest.fixture
def prod(tenant):
    return make.environment("prod", name="Production")


@pytest.fixture
def slot(rita, old, prod):
    return bound(make.slot(environment=prod, role=make.role("clerk")), old, actor=rita)


def canary(slot, new, rita, **more):
    usual = {"strategy": "canary", "percents": [10, 50, 100], "health_gates": ["errors", "incidents"]}
    return started(slot, new, rita, **usual | more)


def sweep(rollout, after=LATER):
    """What the worker does once, that much later than now."""
    with clock.at(clock.now() + after):
        moved = services.advance_rollout(rollout_id=rollout.pk)
    rollout.refresh_from_db()
    return moved


def look(slot):
    slot.refresh_from_db()
    return slot.current_version, slot.canary_version, slot.canary_share


def test_a_canary_climbs_its_steps_while_it_is_healthy(slot, rita, old, new):
    running(slot, old, 10)
    rollout = canary(slot, new, rita)
    assert look(slot) == (old, new, 10) and states(slot, new) == ["provisioning"]
    assert not sweep(rollout, timedelta(minutes=9)), "it bakes"
    assert sweep(rollout) and look(slot) == (old, new, 50)
    assert states(slot, new) == ["provisioning"] * 5 and states(slot, old) == ["active"] * 10
    assert sweep(rollout, 2 * LATER) and look(slot) == (new, None, 0)
    assert states(slot, old) == ["draining"] * 10 and states(slot, new) == ["provisioning"] * 10
    assert rollout.state == "running", "the whole bakes as well"
    assert sweep(rollout, 3 * LATER) and rollout.state == "completed"
    slot.refresh_from_db()
    assert slot.previous_version == old and not rollout.slots.filter(held=True).exists()
    assert SlotBinding.objects.get(slot=slot, until=None).rollout == rollout
    verbs = ChangeRecord.objects.about(rollout).values_list("verb", flat=True)
    assert sorted(verb.rpartition(".")[2] for verb in verbs) == [
        "advanced", "advanced", "completed", "planned", "started",
    ]  # fmt: skip


def test_all_at_once_binds_in_the_first_step(slot, rita, old, new):
    rollout = started(slot, new, rita, health_gates=["errors"])
    assert look(slot) == (new, None, 0)
    assert sweep(rollout) and rollout.state == "completed"


def test_a_phased_rollout_takes_its_slots_in_batches(slot, rita, old, new, prod):
    more = [bound(make.slot(environment=prod, role=slot.role), old, actor=rita) for _ in range(2)]
    rollout = started([slot, *more], new, rita, strategy="phased", batch_size=2, health_gates=["errors"])
    bound_now = [one for one in [slot, *more] if look(one)[0] == new]
    assert len(bound_now) == 2
    sweep(rollout)
    assert [look(one)[0] for one in [slot, *more]] == [new] * 3
    sweep(rollout, 2 * LATER)
    assert rollout.state == "completed"


def test_unhealthy_pauses_at_once_and_opens_one_incident(slot, rita, old, new):
    rollout = canary(slot, new, rita)
    Told.said["errors"] = False
    assert sweep(rollout, timedelta(seconds=20)), "it does not wait until the step has baked"
    assert rollout.state == "paused" and "errors: False." in rollout.said
    assert look(slot) == (old, new, 10)
    incident = Incident.objects.get()
    assert (incident.pk, incident.version, incident.kind) == (rollout.incident_id, new, "quality_regression")
    assert not sweep(rollout), "what is paused stays"
    assert ChangeRecord.objects.filter(verb="registry.rollout.paused").get().actor_label == "ARM"


def test_unhealthy_aborts_where_it_was_told_to(slot, rita, old, new):
    running(slot, old, 4)
    rollout = canary(slot, new, rita, reaction="abort")
    new.instances.update(state=InstanceState.ACTIVE)
    Told.said["incidents"] = False
    sweep(rollout)
    assert rollout.state == "aborted" and look(slot) == (old, None, 0)
    assert states(slot, new) == ["draining"] and states(slot, old) == ["active"] * 4
    assert Incident.objects.count() == 1


def test_too_dear_is_an_incident_of_cost(slot, rita, new):
    rollout = canary(slot, new, rita, health_gates=["cost"])
    Told.said["cost"] = False
    sweep(rollout)
    assert Incident.objects.get().kind == "cost_overrun"


@pytest.mark.parametrize("gates", [["errors", "incidents"], []], ids=["one knows nothing", "nobody is asked"])
def test_unknown_is_not_healthy_a_person_confirms(slot, rita, old, new, gates, queued):
    rollout = canary(slot, new, rita, health_gates=gates)
    Told.said["errors"] = None
    assert sweep(rollout) and rollout.waits_for_person and look(slot) == (old, new, 10)
    assert not sweep(rollout), "it says so once"
    with pytest.raises(Conflict, match="bakes until"):
        services.confirm_step(rollout=rollout, step=1, actor=rita, reason="looks good")
    with clock.at(clock.now() + LATER):
        services.confirm_step(rollout=rollout, step=1, actor=rita, reason="looks good")
    rollout.refresh_from_db()
    assert look(slot) == (old, new, 50) and not rollout.waits_for_person
    assert rollout.steps.get(number=1).confirmed_by == str(rita)


def test_nobody_confirms_what_a_fact_speaks_against(slot, rita, new):
    rollout = canary(slot, new, rita)
    Told.said["errors"] = False
    with clock.at(clock.now() + LATER), pytest.raises(Conflict, match="unhealthy: errors"):
        services.confirm_step(rollout=rollout, step=1, actor=rita, reason="looks good")


def test_what_became_known_meanwhile_needs_nobody(slot, rita, new, old):
    rollout = canary(slot, new, rita)
    Told.said["errors"] = None
    sweep(rollout)
    Told.said["errors"] = True
    assert sweep(rollout) and look(slot) == (old, new, 50)


def test_a_resumed_step_bakes_again(slot, rita, old, new):
    rollout = canary(slot, new, rita)
    rollout = services.pause_rollout(rollout=rollout, actor=rita, reason="lunch")
    with clock.at(clock.now() + LATER):
        assert not services.advance_rollout(rollout_id=rollout.pk)
        rollout = services.resume_rollout(rollout=rollout, actor=rita, reason="on")
        assert not services.advance_rollout(rollout_id=rollout.pk), "its time begins anew"
    assert sweep(rollout, 2 * LATER) and look(slot) == (old, new, 50)


def test_a_rollout_that_an_incident_stopped_waits_until_that_is_resolved(slot, tenant, rita, new):
    alice = make.everything(make.user("alice", member_of=tenant), tenant)
    rollout = canary(slot, new, rita)
    Told.said["errors"] = False
    sweep(rollout)
    incident = Incident.objects.get()
    rollout.refresh_from_db()
    assert (rollout.state, rollout.incident_id) == ("paused", incident.pk)
    for step in (lambda: None, lambda: mitigate(incident=incident, measure=None, actor=alice, reason="seen")):
        step()
        with pytest.raises(Conflict, match=incident.typeid):
            services.resume_rollout(rollout=rollout, actor=rita, reason="I have judged the incident")
        rollout.refresh_from_db()
        assert rollout.state == "paused"
    resolve(incident=incident, root_cause="A wrong prompt", remediation="Another host", actor=alice)
    assert services.resume_rollout(rollout=rollout, actor=rita, reason="resolved").state == "running"


def test_an_aborted_rollout_returns_its_slots_to_what_they_had(slot, rita, old, new, prod):
    older = make.approved(template=old.template)
    other = bound(make.slot(environment=prod, role=slot.role), older, old, actor=rita)
    running(other, old, 2)
    rollout = started([slot, other], new, rita)
    assert states(other, new) == ["provisioning"] * 2
    new.instances.filter(slot=other).update(state=InstanceState.ACTIVE)
    services.abort_rollout(rollout=rollout, actor=rita, reason="no")
    assert look(slot)[0] == look(other)[0] == old
    assert (slot.previous_version, other.previous_version) == (None, older)
    assert states(other, new) == ["draining"] * 2
    assert states(other, old) == ["draining"] * 2 + ["provisioning"] * 2
    new.refresh_from_db()
    assert (new.state, new.rolled_back) == ("approved", False), "an abort is no rollback"
    with pytest.raises(Conflict, match="is Aborted"):
        services.resume_rollout(rollout=rollout, actor=rita, reason="again")


def test_who_rolls_back_may_pause_and_abort_but_not_start(slot, tenant, rita, new):
    dan = make.hired("dan", "fleet_operator", tenant)
    with pytest.raises(NotAllowed):
        planned(slot, new, dan)
    rollout = planned(slot, new, rita)
    with pytest.raises(NotAllowed):
        services.start_rollout(rollout=rollout, actor=dan, reason="x")
    services.start_rollout(rollout=rollout, actor=rita, reason="x")
    assert services.pause_rollout(rollout=rollout, actor=dan, reason="x").state == "paused"
    with pytest.raises(NotAllowed):
        services.resume_rollout(rollout=rollout, actor=dan, reason="x")
    assert services.abort_rollout(rollout=rollout, actor=dan, reason="x").state == "aborted"


def test_a_stranger_to_the_environment_does_nothing(slot, tenant, rita, new):
    mallory = make.user("mallory", member_of=tenant)
    make.grant(mallory, make.environment("dev"), *Right)
    rollout = canary(slot, new, rita)
    confirm = partial(services.confirm_step, step=1)
    for verb in (services.pause_rollout, services.abort_rollout, confirm):
        with pytest.raises(NotAllowed):
            verb(rollout=rollout, actor=mallory, reason="x")


def test_a_second_rollout_waits_and_nothing_else_binds_a_held_slot(slot, rita, new):
    third = make.approved()
    rollout = canary(slot, new, rita)
    with pytest.raises(Conflict, match="held by a rollout"):
        started(slot, third, rita)
    with pytest.raises(Conflict, match="held by a rollout"):
        bound(slot, third, actor=rita)
    with pytest.raises(IntegrityError), transaction.atomic():
        RolloutSlot.objects.filter(rollout=planned(slot, third, rita)).update(held=True)
    services.abort_rollout(rollout=rollout, actor=rita, reason="x")
    assert started(slot, third, rita).state == "running"


def test_a_start_that_is_refused_takes_no_slot(slot, rita, old):
    rollout = planned(slot, make.version(template=old.template, state="testing"), rita)
    with pytest.raises(GateRefused, match="approved versions only"):
        services.start_rollout(rollout=rollout, actor=rita, reason="x")
    rollout.refresh_from_db()
    assert rollout.state == "planned" and not RolloutSlot.objects.filter(held=True).exists()


def test_a_version_deprecated_on_its_way_goes_no_further(slot, rita, old, new):
    rollout = canary(slot, new, rita, percents=[10, 100])
    new.state = "deprecated"
    new.save(update_fields=["state"])
    sweep(rollout)
    assert rollout.state == "paused" and "Deprecated" in rollout.said
    assert look(slot) == (old, new, 10) and rollout.steps.get(number=1).state == "baking"


def test_an_exception_is_spent_once_and_holds_for_the_whole_rollout(slot, rita, tenant, old, new):
    make.environment("staging", position=0)
    erin = make.hired("erin", "approver", tenant)
    rollout = planned(slot, new, rita, strategy="canary", percents=[10, 100], health_gates=["errors"])
    with pytest.raises(GateRefused, match="never bound"):
        services.start_rollout(rollout=rollout, actor=rita, reason="x")
    exception = services.grant_exception(
        slot=slot,
        version=new,
        gate=CHANNEL_ORDER,
        until=clock.now() + timedelta(hours=1),
        actor=erin,
        reason="x",
    )
    services.start_rollout(rollout=rollout, actor=rita, reason="x")
    exception.refresh_from_db()
    assert exception.used_in == rollout
    sweep(rollout)
    assert look(slot)[0] == new


def test_an_empty_slot_has_no_canary(tenant, rita, prod, new):
    empty = make.slot(environment=prod)
    with pytest.raises(Conflict, match="is empty"):
        canary(empty, new, rita)
    rollout = started(empty, new, rita)
    assert look(empty)[0] == new
    services.abort_rollout(rollout=rollout, actor=rita, reason="x")
    assert look(empty)[0] == new, "it had nothing to return to"


# compatibility


def tool(name, **more):
    return {
        "name": name, "kind": "function", "schema_digest": "sha256:" + "b" * 64,
        "description_digest": "sha256:" + "c" * 64, "risk": "GREEN", **more,
    }  # fmt: skip


def test_breaking_drift_needs_a_reason_that_is_kept(slot, rita, old):
    genome = make.genome(template=old.template, members={"tools": [tool("search", risk="RED")]})
    breaking = make.approved(template=old.template, genome=genome)
    rollout = planned(slot, breaking, rita)
    with pytest.raises(GateRefused, match="rises from GREEN to RED") as refused:
        services.start_rollout(rollout=rollout, actor=rita, reason="x")
    assert [verdict["gate"] for verdict in refused.value.extra["gates"]] == ["compatibility"]
    rollout = services.start_rollout(rollout=rollout, actor=rita, reason="x", acknowledged="Payments need it")
    assert rollout.acknowledged == "Payments need it" and rollout.drift[0]["kind"] == "tool risk"
    record = ChangeRecord.objects.get(verb="registry.rollout.started")
    assert record.after["acknowledged"] == "Payments need it" and record.after["breaking"]


def test_gates_and_drift_are_named_together(slot, rita, old):
    genome = make.genome(template=old.template, members={"tools": []})
    poor = make.version(template=old.template, genome=genome, state="testing")
    with pytest.raises(GateRefused) as refused:
        started(slot, poor, rita)
    assert [verdict["gate"] for verdict in refused.value.extra["gates"]] == [
        "version may run",
        "compatibility",
    ]


# plans


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"strategy": "canary", "percents": []}, "between 1 and 100"),
        ({"strategy": "canary", "percents": [50, 25, 100]}, "larger than the one before"),
        ({"strategy": "canary", "percents": [5, 50]}, "last step of a canary is 100"),
        ({"strategy": "phased", "batch_size": 2}, "between 1 and 1 slots"),
        ({"strategy": "sideways"}, "Must be one of"),
        ({"health_gates": ["luck"]}, "Nobody answers for luck"),
        ({"limits": {"errors": -1}}, "not below zero"),
        ({"bake": timedelta(days=15)}, "14 days"),
        ({"reason": " "}, "Say why"),
    ],
)
def test_a_plan_that_is_wrong_says_what_is_wrong(slot, rita, new, wrong, said):
    with pytest.raises(Invalid, match=said):
        planned(slot, new, rita, **wrong)
    assert not Rollout.objects.exists()


def test_the_slots_of_a_rollout_are_of_one_role_in_one_environment(slot, rita, new, prod):
    with pytest.raises(Invalid, match="one role in one environment"):
        planned([slot, make.slot(environment=prod)], new, rita)


def test_an_ended_rollout_moves_no_more_whoever_asks(slot, rita, new):
    rollout = planned(slot, new, rita)
    services.abort_rollout(rollout=rollout, actor=rita, reason="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        Rollout.objects.filter(pk=rollout.pk).update(state="running")


def test_the_worker_takes_every_running_rollout_of_the_tenant(slot, rita, old, new, tenant):
    rollout = canary(slot, new, rita)
    with clock.at(clock.now() + LATER):
        assert tasks.advance(tenant_id=tenant.pk) == 1
    assert look(slot) == (old, new, 50) and rollout.steps.get(number=1).state == "passed"


def test_a_rollout_that_cannot_be_judged_keeps_no_other_waiting(
    slot, rita, old, new, tenant, prod, monkeypatch
):
    broken = canary(bound(make.slot(environment=prod), old, actor=rita), new, rita)
    canary(slot, new, rita)
    advance = services.advance_rollout

    def judge(*, rollout_id):
        if rollout_id == broken.pk:
            raise RuntimeError("no answer")
        return advance(rollout_id=rollout_id)

    monkeypatch.setattr(services, "advance_rollout", judge)
    with clock.at(clock.now() + LATER), pytest.raises(ExceptionGroup, match="could not be judged"):
        tasks.advance(tenant_id=tenant.pk)
    assert look(slot) == (old, new, 50)


# what it shows to the next channel


@pytest.fixture
def climbing(tenant, prod, rita, old):
    """Slots for the same role in staging, where `old` is at work, and in production behind it."""
    staging = make.environment("staging", position=0)
    first = bound(make.slot(environment=staging, role=make.role("cook")), old, actor=rita)
    return first, make.slot(environment=prod, role=first.role)


def test_a_version_that_bakes_in_one_channel_does_not_reach_the_next(climbing, rita, new):
    staging, prod = climbing
    rollout = started(staging, new, rita, health_gates=["errors"])
    assert SlotBinding.objects.filter(slot=staging, version=new, until=None).exists()
    with pytest.raises(GateRefused, match=f"{new} is still baking for cook in {staging.environment}, the"):
        bound(prod, new, actor=rita)
    sweep(rollout)
    assert bound(prod, new, actor=rita).current_version == new


def test_a_version_that_was_taken_back_in_one_channel_does_not_reach_the_next(climbing, rita, old, new):
    staging, prod = climbing
    rollout = started(staging, new, rita, health_gates=["errors"])
    services.abort_rollout(rollout=rollout, actor=rita, reason="It lies")
    with pytest.raises(GateRefused, match=f"{new} was taken back for cook in {staging.environment}, the"):
        bound(prod, new, actor=rita)
    assert bound(prod, old, actor=rita).current_version == old, "what an abort returns to stands there"


def test_what_was_taken_back_here_was_not_here_before(climbing, rita, old, new, settings):
    _, prod = climbing
    prod = bound(prod, old, actor=rita)
    asked, settings.BINDING_GATES = settings.BINDING_GATES, []
    rollout = started(prod, new, rita, health_gates=["errors"])
    services.abort_rollout(rollout=rollout, actor=rita, reason="It lies")
    settings.BINDING_GATES = asked
    with pytest.raises(GateRefused, match="was never bound for cook in"):
        bound(prod, new, actor=rita)


def test_what_has_left_a_channel_unharmed_may_climb(climbing, rita, old, new):
    staging, prod = climbing
    sweep(started(staging, new, rita, health_gates=["errors"]))
    assert bound(prod, old, actor=rita).current_version == old
