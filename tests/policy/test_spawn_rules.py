"""Nothing is started below a stop; what an agent starts by itself its policies must let it start."""

import pytest
from django.urls import reverse

from registry import services
from registry.lifecycle import InstanceState
from registry.models import AgentInstance
from registry.services import SpawnRefused
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(acme):
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def boss(acme):
    """At work, and its genome lets it start copies of itself."""
    agent = make.template("boss")
    held = make.genome(template=agent, members={"spawn": {"allowed": True}})
    version = make.approved(template=agent, genome=held)
    return make.instance(version=version, state=InstanceState.ACTIVE)


def starts(boss, actor=None, **more):
    return services.spawn_instance(
        parent=boss, version=boss.version, name="child", actor=actor, reason="more work", **more
    )


def codes(boss, actor=None, **more):
    with pytest.raises(SpawnRefused) as refused:
        starts(boss, actor, **more)
    return [problem["code"] for problem in refused.value.extra["errors"]]


SPAWNS = {"match": {"tool": "spawn_agent"}, "effect": "allow"}


def bound(boss, **spawn):
    return make.bound(boss, tier=3, tools=[SPAWNS], spawn={"allowed": True} | spawn)


@pytest.mark.parametrize("mode", ["paused", "draining", "quarantined", "read_only"])
@pytest.mark.parametrize("scope", ["tenant", "itself"])
def test_nothing_is_started_below_a_stop_whoever_asks(acme, alice, boss, mode, scope):
    bound(boss)
    stop = make.posture(acme if scope == "tenant" else boss, mode=mode)
    assert codes(boss) == ["stopped"]
    assert codes(boss, alice) == ["stopped"]
    type(stop).objects.filter(pk=stop.pk).update(lifted_at=stop.set_at)
    assert starts(boss).parent == boss
    assert starts(boss, alice).parent == boss


def test_a_stop_of_tools_stops_children_only_where_it_is_of_those_that_start_them(acme, alice, boss):
    bound(boss)
    make.posture(acme, mode="paused", tool="pay")
    starts(boss)
    make.posture(acme, mode="paused", tool_class="spawn")
    assert codes(boss) == ["stopped"]
    starts(boss, alice)


def test_what_no_policy_lets_start_others_starts_none_by_itself(alice, boss):
    assert codes(boss) == ["no_policy"]
    make.bound(boss, tier=3, tools=[SPAWNS], spawn={"allowed": False})
    assert codes(boss) == ["spawn_denied"]
    starts(boss, alice)  # a person is held to rights


def test_numbers_and_roles_of_a_policy_hold_for_what_it_starts(alice, boss):
    bound(boss, max_children=1, max_per_hour=5)
    first = starts(boss)
    assert codes(boss) == ["spawn_children"]
    AgentInstance.objects.filter(pk=first.pk).update(state=InstanceState.RETIRED)
    starts(boss)


def test_a_rate_of_a_policy_counts_what_was_started_in_the_hour(boss):
    bound(boss, max_per_hour=1)
    AgentInstance.objects.filter(pk=starts(boss).pk).update(state=InstanceState.RETIRED)
    assert codes(boss) == ["spawn_rate"]


def test_roles_of_a_policy_hold_for_a_copy_that_has_its_parent_s(boss):
    AgentInstance.objects.filter(pk=boss.pk).update(role=make.role("judge"))
    bound(boss, roles=["clerk"])
    assert codes(boss) == ["spawn_role"]


def test_a_policy_that_only_watches_refuses_nothing(boss):
    make.bound(boss, tier=3, tools=[SPAWNS], mode="observe", spawn={"allowed": False})
    starts(boss)


def test_the_page_names_the_stop(acme, alice, boss, client):
    client.force_login(alice)
    make.posture(acme, mode="paused")
    answer = client.post(
        reverse("registry:instance_spawn", args=[boss.typeid]),
        {"version": boss.version.typeid, "name": "child", "reason": "more"},
    )
    assert answer.status_code == 409
    assert "A stop stands above it" in answer.content.decode()


@pytest.mark.parametrize("effect", ["deny", "approve"])
def test_a_rule_about_the_tool_that_spawns_holds_at_this_door_too(boss, effect):
    """Who asks a person for each child is not answered here: nobody has approved this one."""
    bound(boss)
    make.bound(
        boss, tier=3, tools=[SPAWNS, {"match": {"class": "spawn"}, "effect": effect}], spawn={"allowed": True}
    )
    assert codes(boss) == [f"rule_{effect}"]


def test_a_policy_that_names_no_tool_that_spawns_starts_nobody(boss):
    make.bound(
        boss, tier=3, tools=[{"match": {"tool": "search"}, "effect": "allow"}], spawn={"allowed": True}
    )
    assert "no_rule" in codes(boss)
