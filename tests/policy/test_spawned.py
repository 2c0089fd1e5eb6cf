"""A child may do nothing that who started it may not, whatever its own policies allow."""

from typing import Any

import pytest

from policy.engine import Action, Request, evaluate
from policy.engine.standing import Facts
from policy.engine.terms import Effect
from policy.gateway.fleet import Fleet
from policy.plugins.gates import PolicyBound
from policy.queries.standing import load_agents, load_rules
from registry.lifecycle import InstanceState
from registry.models import AgentInstance
from tests import make

pytestmark = pytest.mark.django_db
ALLOW = {"tools": [{"match": {"tool": "*"}, "effect": "allow"}]}


def family(**parents: Any) -> tuple[AgentInstance, AgentInstance, AgentInstance]:
    """A boss, its child and its grandchild, each of an agent of its own."""
    tenant = make.tenant("acme")
    place = make.environment(tenant=tenant)
    line: list[AgentInstance] = []
    for name in ("boss", "child", "grandchild"):
        version = make.approved(template=make.template(name, tenant=tenant))
        above = {"parent": line[-1], "depth": len(line)} if line else {}
        line.append(
            make.instance(name=name, version=version, environment=place, state=InstanceState.ACTIVE, **above)
        )
    boss, child, grandchild = line
    return boss, child, grandchild


def answer(instance: AgentInstance, tool: str = "search") -> tuple[Effect, list[str]]:
    rules, agent = load_rules(instance.tenant_id), load_agents([instance.pk])[instance.pk]
    facts = Facts(now=100.0, as_of=100.0, standing=rules.standing_of(agent))
    asked = Request(action=Action.TOOL_CALL, tool=tool, job="job-1")
    verdict = evaluate(rules.envelope_of(agent), asked, facts)
    return verdict.decision, [reason.code for reason in verdict.reasons]


def test_what_the_parent_is_denied_its_child_and_grandchild_are_denied() -> None:
    boss, child, grandchild = family()
    make.bound(
        boss.template,
        tools=[{"match": {"tool": "search"}, "effect": "deny"}, {"match": {"tool": "*"}, "effect": "allow"}],
    )
    make.bound(child.template, **ALLOW)
    make.bound(grandchild.template, **ALLOW)
    for one in (boss, child, grandchild):
        assert answer(one)[0] is Effect.DENY, one
        assert answer(one, "read")[0] is Effect.ALLOW, one


def test_what_the_child_is_denied_its_parent_may_still_do() -> None:
    boss, child, grandchild = family()
    make.bound(boss.template, **ALLOW)
    make.bound(child.template, tools=[{"match": {"tool": "read"}, "effect": "allow"}])
    make.bound(grandchild.template, **ALLOW)
    assert [answer(one)[0] for one in (boss, child, grandchild)] == [Effect.ALLOW, Effect.DENY, Effect.DENY]


def test_a_child_of_one_that_nothing_is_bound_to_may_do_nothing_and_its_own_must_be_bound_as_well() -> None:
    boss, child, grandchild = family()
    make.bound(child.template, **ALLOW)
    make.bound(grandchild.template, **ALLOW)
    assert answer(child) == (Effect.DENY, ["no_policy"])
    make.bound(boss.template, **ALLOW)
    assert answer(child)[0] is Effect.ALLOW
    assert (
        not PolicyBound()
        .check(make.instance(name="x", parent=child, depth=2, environment=child.environment))
        .passed
    )


def test_the_gate_counts_what_is_bound_to_the_child_itself() -> None:
    boss, child, _ = family()
    make.bound(boss.template, **ALLOW)
    assert not PolicyBound().check(child).passed
    make.bound(child.template, **ALLOW)
    assert PolicyBound().check(child).passed


def test_a_remembered_child_is_read_again_when_who_started_it_changes() -> None:
    boss, child, grandchild = family()
    for one in (boss, child, grandchild):
        make.bound(one.template, **ALLOW)
    fleet, tenant = Fleet(), boss.tenant_id
    fleet.load(tenant, grandchild.pk)
    assert fleet.view(tenant, grandchild.pk) is not None
    fleet.touch(tenant, child.parent_id)
    assert fleet.view(tenant, grandchild.pk) is None
    role = make.role(tenant=boss.tenant)
    AgentInstance.objects.filter(pk=boss.pk).update(role=role)
    make.bound(role, tools=[{"match": {"tool": "read"}, "effect": "allow"}])
    fleet.touch(tenant, boss.pk)
    fleet.touch(tenant, None)
    view = fleet.load(tenant, grandchild.pk)
    assert view.agent.above[-1].role_id == role.pk
    assert fleet.view(tenant, grandchild.pk) is view
    fleet.touch(tenant, make.instance(name="other", environment=boss.environment).pk)
    assert fleet.view(tenant, grandchild.pk) is view


def test_what_changes_while_a_child_is_being_read_makes_it_be_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boss, child, grandchild = family()
    for one in (boss, child, grandchild):
        make.bound(one.template, **ALLOW)
    fleet, tenant = Fleet(), boss.tenant_id
    fleet.load(tenant, boss.pk)

    def and_meanwhile(wanted: Any) -> Any:
        found = load_agents(wanted)
        fleet.touch(tenant, boss.pk)
        return found

    monkeypatch.setattr("policy.gateway.fleet.load_agents", and_meanwhile)
    fleet._refresh(tenant, fleet._tenant(tenant), {grandchild.pk})
    assert fleet.view(tenant, grandchild.pk) is None
