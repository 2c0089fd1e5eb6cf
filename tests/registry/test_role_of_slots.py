"""What works in a slot does the slot's role: nobody says another one, and nobody leaves it out to be asked for less."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.rights import Right
from registry import fitness, services
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, RoleAssignment
from registry.protocol.rows import read_instances
from tests import make
from tests.registry.calling import API, Caller, pointers

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


def test_the_api_names_what_is_mistyped_unknown_and_impossible_at_once(slot, alice):
    body = {
        "version": make.version(state=VersionState.RETIRED).typeid, "environment": "moon", "provider": "Not a slug",
        "slot": slot.typeid, "role": make.role("cook").slug, "colour": "red", "reason": "",
    }  # fmt: skip
    answer = Caller(alice).post("instances/", **body)
    assert answer.status_code == 422
    assert pointers(answer) == {
        *("/environment", "/provider", "/name", "/reason", "/colour"),  # as they are said
        *("/version", "/role"),  # as far as those can be held against the rows
    }
    assert not AgentInstance.objects.exists()


def signed_in(person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_the_page_of_provisioning_has_words_at_each_field(alice, acme):
    place, provider = make.environment("dev"), make.provider("cloud")
    type(provider).objects.filter(pk=provider.pk).update(closed_at=clock.now())
    answer = signed_in(alice).post(
        reverse("registry:instance_provision"),
        {
            "version": "ver_nonsense",
            "environment": place.slug,
            "provider": "cloud",
            "name": "",
            "reason": "r",
        },
    )
    assert answer.status_code == 422
    assert {"version", "provider", "name"} <= set(answer.context["form"].errors)


# assignments


def test_assigning_names_all_that_is_wrong_at_once(slot, alice):
    gone = make.instance(environment=make.environment("prod"), state=InstanceState.RETIRED)
    now = clock.now()
    with pytest.raises(Invalid) as refused:
        services.assign_role(
            role=slot.role, environment=slot.environment, instance=gone, version=make.approved(), actor=alice, reason="",
            since=now - timedelta(days=1), until=now - timedelta(days=2),
        )  # fmt: skip
    assert places(refused) == ["/reason", "/instance", "/instance", "/version", "/since", "/until"]
    with pytest.raises(Invalid) as refused:
        services.assign_role(
            role=slot.role,
            environment=slot.environment,
            actor=alice,
            reason="r",
            until=now - timedelta(days=2),
        )
    assert places(refused) == ["/version", "/until"]
    assert not RoleAssignment.objects.exists()


def test_the_api_of_assigning_names_what_is_unknown_and_what_is_wrong_at_once(slot, alice):
    late = (clock.now() - timedelta(days=1)).isoformat()
    path = f"roles/{slot.role.typeid}/assign/"
    answer = Caller(alice).post(path, environment="moon", since=late, until="soon", reason="r")
    assert answer.status_code == 422 and pointers(answer) == {"/environment", "/since", "/until", "/version"}


@pytest.mark.parametrize("body", ["[]", "[{}]", "3", "null", '"x"'])
def test_a_body_that_is_no_object_is_refused(slot, alice, body):
    for path in (f"roles/{slot.role.typeid}/assign/", "instances/"):
        answer = Caller(alice).client.post(API + path, body, content_type="application/json")
        assert answer.status_code == 422


def test_the_page_of_assigning_has_words_at_each_field(slot, alice):
    said = {
        "environment": "moon",
        "version": "",
        "since": "2020-01-01 00:00",
        "until": "2019-01-01 00:00",
        "reason": "r",
    }
    answer = signed_in(alice).post(reverse("registry:role_assign", args=[slot.role.typeid]), said)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"environment", "version", "since", "until"}


@pytest.fixture
def hers(acme):
    """An assignment in production of an agent on which Bob may release, though not there."""
    prod, version = make.environment("prod", name="Production"), make.approved()
    bob = make.user("bob", member_of=acme)
    make.grant(bob, version.template, Right.PROMOTE_RELEASE, Right.READ_DIRECTORY)
    make.grant(bob, prod, Right.READ_DIRECTORY)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    return make.role_assignment(role=make.role(), environment=prod, version=version), bob


def test_who_may_release_the_agent_alone_ends_no_assignment_in_production(hers):
    made, bob = hers
    with pytest.raises(NotAllowed):
        services.end_assignment(assignment=made, actor=bob, reason="mine now")
    assert Caller(bob).post(f"assignments/{made.typeid}/end/", reason="mine now").status_code == 403
    end = reverse("registry:assignment_end", args=[made.typeid])
    page = signed_in(bob)
    assert page.get(end).status_code == 403
    assert end not in page.get(made.role.get_absolute_url()).content.decode()
    made.refresh_from_db()
    assert made.until is None


def test_who_may_release_in_the_environment_ends_what_holds_there(hers, acme):
    made, _ = hers
    carol = make.user("carol", member_of=acme)
    make.grant(carol, made.environment, Right.PROMOTE_RELEASE)
    make.grant(carol, acme, Right.READ_DIRECTORY)
    end = reverse("registry:assignment_end", args=[made.typeid])
    page = signed_in(carol)
    assert end in page.get(made.role.get_absolute_url()).content.decode()
    assert page.post(end, {"reason": "over"}).status_code == 302
    made.refresh_from_db()
    assert made.standing == "ended"
