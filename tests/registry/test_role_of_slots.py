"""What works in a slot does the slot's role: nobody says another one, and nobody leaves it out to be asked for less."""

import pytest

from arm import clock
from arm.errors import Conflict, Invalid
from registry import fitness, services
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance
from registry.protocol.rows import read_instances
from tests import make
from tests.registry.calling import Caller, pointers

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme):
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def slot(acme):
    return make.slot(environment=make.environment("dev"), role=make.role("clerk", certifications=["pci"]))


def provision(slot, actor, **kw):
    place = {"environment": slot.environment, "provider": slot.provider, "slot": slot}
    return services.provision_instance(
        **{"version": make.approved(), "name": "one", "reason": "Capacity", "actor": actor} | place | kw
    )


def places(refused) -> list[str]:
    return [problem["pointer"] for problem in refused.value.extra["errors"]]


def test_an_instance_is_not_provisioned_with_another_role_than_its_slots(slot, alice):
    with pytest.raises(Invalid, match="is for the role") as refused:
        provision(slot, alice, role=make.role("cook"))
    assert places(refused) == ["/role"] and not AgentInstance.objects.exists()
    assert provision(slot, alice, role=slot.role).role == slot.role
    assert provision(slot, alice).role == slot.role


def test_rows_of_a_table_are_told_the_same(slot, alice, acme):
    make.role("cook")
    row = {
        "version": make.approved().typeid, "environment": "dev", "provider": slot.provider.slug, "name": "one",
        "slot": slot.typeid, "role": "cook",
    }  # fmt: skip
    read = read_instances([row, {**row, "role": "clerk"}])
    with pytest.raises(Invalid) as refused:
        services.provision_instances(tenant=acme, rows=read.rows, actor=alice, reason="r")
    assert places(refused) == ["/rows/0/role"] and not AgentInstance.objects.exists()


def test_the_api_points_at_the_role(slot, alice):
    make.role("cook")
    body = {
        "version": make.approved().typeid, "environment": "dev", "provider": slot.provider.slug, "name": "one",
        "slot": slot.typeid, "role": "cook", "reason": "r",
    }  # fmt: skip
    answer = Caller(alice).post("instances/", **body)
    assert answer.status_code == 422 and pointers(answer) == {"/role"}


def test_who_says_no_role_is_asked_what_the_role_of_its_slot_asks(slot, alice):
    old = make.instance(environment=slot.environment, slot=slot, role=None, state=InstanceState.PROVISIONING)
    verdict = fitness.InstanceFitsItsRole().check(old)
    assert not verdict.passed and "pci" in verdict.reason


def test_who_was_given_an_easier_role_once_is_asked_for_both(slot):
    easy = make.role("easy", certifications=["iso"])
    old = make.instance(environment=slot.environment, slot=slot, role=easy, state=InstanceState.PROVISIONING)
    verdict = fitness.InstanceFitsItsRole().check(old)
    assert not verdict.passed and "pci" in verdict.reason and "iso" in verdict.reason


# everything that is wrong is named at once


def test_provisioning_names_all_that_is_wrong_at_once(slot, alice):
    slot.current_version = make.approved()
    slot.save()
    version = make.version(state=VersionState.RETIRED)
    with pytest.raises(Invalid) as refused:
        provision(
            slot,
            alice,
            version=version,
            environment=make.environment("prod"),
            role=make.role("cook"),
            reason=" ",
        )
    assert places(refused) == ["/reason", "/version", "/slot", "/slot", "/role"]
    assert not AgentInstance.objects.exists()


def test_what_is_only_not_possible_now_is_a_conflict_that_names_each(slot, alice):
    type(slot.provider).objects.filter(pk=slot.provider_id).update(closed_at=clock.now())
    type(slot).objects.filter(pk=slot.pk).update(closed_at=clock.now())
    with pytest.raises(Conflict) as refused:
        provision(slot, alice, version=make.version(state=VersionState.DEPRECATED))
    assert places(refused) == ["/version", "/provider", "/slot"]
