"""Replacements begin by themselves when nothing is missing; canaries work on where an abort has nobody else."""

from datetime import timedelta

import pytest

from arm import clock
from arm.models import ChangeRecord
from registry import services, tasks
from registry.lifecycle import InstanceState as S
from registry.models import AgentInstance, InstanceStatus
from tests import make
from tests.registry.releasing import Told, bound, running, started, states

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gates(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    settings.ACTIVATION_GATES = [
        "registry.gates.VersionMayRun", "registry.gates.placed.InItsPlace", "registry.gates.TelemetrySeen",
    ]  # fmt: skip
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": None})


@pytest.fixture
def slot(tenant, rita, old, new):
    place = make.environment("prod", name="Production", position=1)
    return bound(make.slot(environment=place, role=make.role("clerk")), old, new, actor=rita)


def heard_of(slot, version, number):
    """So many of the version's instances in the slot have sent telemetry."""
    waiting = AgentInstance.objects.filter(slot=slot, version=version, state=S.PROVISIONING).order_by("pk")
    keys = list(waiting.values_list("pk", flat=True)[:number])
    InstanceStatus.objects.filter(instance__in=keys).update(telemetry_at=clock.now())


def test_what_replaces_others_works_as_soon_as_it_is_heard_of_and_they_drain_in_the_same_look(
    tenant, slot, dan, old, new
):
    running(slot, new, 2)
    services.roll_back_slot(slot=slot, actor=dan, reason="Slow", drain="replaced")
    tasks.advance(tenant_id=tenant.pk)
    assert states(slot, old) == ["provisioning", "provisioning"], "nobody has heard of them yet"
    heard_of(slot, old, 1)
    tasks.advance(tenant_id=tenant.pk)
    assert states(slot, old) == ["active", "provisioning"] and states(slot, new) == ["active", "draining"]
    heard_of(slot, old, 1)
    tasks.advance(tenant_id=tenant.pk)
    assert states(slot, old) == ["active", "active"] and states(slot, new) == ["draining", "draining"]
    record = ChangeRecord.objects.filter(verb="registry.instance.activated").first()
    assert record.actor_id is None and "replaces what the slot has left" in record.reason


def test_one_that_misses_something_stays_and_one_that_a_person_provisioned_waits_for_them(
    tenant, slot, dan, rita, old, new
):
    running(slot, new, 1)
    services.roll_back_slot(slot=slot, actor=dan, reason="Slow", drain="replaced")
    services.provision_instance(
        version=old, environment=slot.environment, provider=slot.provider, slot=slot, name="mine", actor=dan, reason="r"
    )  # fmt: skip
    heard_of(slot, old, 2)
    (replacement,) = AgentInstance.objects.filter(slot=slot, version=old, replacement=True)
    type(old).objects.filter(pk=old.pk).update(rolled_back=True)
    assert services.activate_replacement(instance_id=replacement.pk) == 0
    type(old).objects.filter(pk=old.pk).update(rolled_back=False)
    assert services.replacements_waiting(tenant.pk) == [replacement.pk]
    tasks.advance(tenant_id=tenant.pk)
    assert states(slot, old) == ["active", "provisioning"]
    assert services.activate_replacement(instance_id=replacement.pk) == 0, "it works already"


def test_canaries_begin_by_themselves_too(tenant, slot, rita, new):
    running(slot, new, 2)
    third = make.approved(template=new.template)
    started(slot, third, rita, strategy="canary", percents=[50, 100], health_gates=["errors"])
    heard_of(slot, third, 1)
    tasks.advance(tenant_id=tenant.pk)
    assert states(slot, third) == ["active"]


def test_a_canary_works_on_where_an_abort_has_nobody_else_until_others_do_its_work(
    tenant, slot, rita, dan, new
):
    stable = running(slot, new, 2)
    third = make.approved(template=new.template)
    rollout = started(
        slot, third, rita, strategy="canary", percents=[100 // 2, 100], health_gates=["errors"],
        drain="replaced", within=timedelta(minutes=30),
    )  # fmt: skip
    heard_of(slot, third, 1)
    tasks.advance(tenant_id=tenant.pk)
    for one in stable:
        services.restrict_instance(instance=one, to=S.PAUSED, actor=dan, reason="They hang")
    services.abort_rollout(rollout=rollout, actor=rita, reason="Not this way")
    assert states(slot, third) == ["active"], "it alone is at work"
    assert "provisioning" in states(slot, new)
    heard_of(slot, new, 1)
    tasks.advance(tenant_id=tenant.pk)
    assert states(slot, third) == ["draining"] and "active" in states(slot, new)


def test_an_aborted_canary_drains_at_once_where_others_do_its_work_already(slot, rita, new):
    running(slot, new, 2)
    third = make.approved(template=new.template)
    rollout = started(
        slot, third, rita, strategy="canary", percents=[50, 100], health_gates=["errors"], drain="replaced"
    )
    AgentInstance.objects.filter(slot=slot, version=third).update(state=S.ACTIVE)
    services.abort_rollout(rollout=rollout, actor=rita, reason="Not this way")
    assert states(slot, third) == ["draining"] and states(slot, new) == ["active", "active"]
    assert not slot.handovers.filter(ended_at=None).exists()
