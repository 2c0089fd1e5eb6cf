"""Nobody goes around the channels by starting an instance from another one."""

from datetime import timedelta

import pytest

from arm import clock
from arm.errors import NotAllowed
from arm.rights import Right
from registry import services
from registry.gates import CHANNEL_ORDER, GateRefused
from registry.lifecycle import InstanceState as S
from registry.lifecycle import VersionState
from registry.models import AgentInstance, AgentVersion
from registry.protocol.rows import read_instances
from registry.services import SpawnRefused
from tests import make
from tests.registry.genomes import example
from tests.registry.releasing import bound

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gates(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    settings.ACTIVATION_GATES = ["registry.gates.VersionMayRun", "registry.gates.placed.InItsPlace"]


def build(template, alice, **spawn):
    """An approved version that may start itself, and whom else `spawn` says."""
    version = services.create_version(
        template=template,
        genome=example(template=template.typeid, spawn={"allowed": True, **spawn}),
        actor=alice,
        reason="build",
    )
    AgentVersion.objects.filter(pk=version.pk).update(state=VersionState.APPROVED)
    return AgentVersion.objects.get(pk=version.pk)


@pytest.fixture
def first(alice):
    return build(make.template("clerk"), alice)


@pytest.fixture
def second(alice, first):
    return build(first.template, alice, max_children=9)


@pytest.fixture
def staging(tenant, rita, first):
    place = make.environment("staging", position=1, production=False)
    return bound(make.slot(environment=place, role=make.role("clerk")), first, actor=rita)


@pytest.fixture
def prod(staging, rita, first):
    place = make.environment("prod", name="Production", position=2)
    return bound(make.slot(environment=place, role=staging.role), first, actor=rita)


def at_work(where, version, **more):
    place = {"environment": where.environment, "provider": where.provider, "role": where.role, "slot": where}
    return make.instance(version=version, **place | more)


def spawn(parent, version, actor, **more):
    return services.spawn_instance(
        parent=parent, version=version, name="child", actor=actor, reason="a long queue", **more
    )


def activate(instance, actor):
    return services.move_instance(instance=instance, to=S.ACTIVE, actor=actor, reason="go")


def refused(parent, version, actor, **more):
    """What it says of the channels."""
    with pytest.raises(SpawnRefused) as told:
        spawn(parent, version, actor, **more)
    (problem,) = [one for one in told.value.extra["errors"] if one["code"] == "released"]
    assert problem["pointer"] == "/version" and not parent.children.exists()
    return problem["message"]


def test_a_person_starts_nothing_in_production_from_elsewhere_that_was_not_released(
    prod, staging, dan, first, second
):
    parent = at_work(staging, first)
    said = refused(parent, second, dan, environment=prod.environment)
    assert said.startswith(f"{second} is bound in no slot of Production")


def test_an_instance_in_production_starts_no_other_version_of_its_agent(prod, first, second):
    assert "has not come through" in refused(at_work(prod, first), second, None)


def test_copies_of_an_instance_work_where_it_works(prod, staging, rita, dan, first, second):
    parent = at_work(prod, first)
    bound(staging, second, actor=rita)
    bound(prod, second, actor=rita)  # `first` is on its way out, and its family works on until then
    assert activate(spawn(parent, first, None), dan).state == S.ACTIVE


def test_a_copy_elsewhere_is_asked_like_any_other(prod, staging, dan, first, second):
    parent = at_work(staging, second)
    assert "bound in no slot" in refused(parent, second, dan, environment=prod.environment)


@pytest.mark.parametrize("state", [S.PROVISIONING, S.DRAINING, S.RETIRED])
def test_who_does_not_work_there_hands_nothing_down(prod, dan, second, state):
    parent = at_work(prod, second, state=state, slot=None)
    child = at_work(prod, second, state=S.PROVISIONING, slot=None, parent=parent)
    with pytest.raises(GateRefused, match="bound in no slot"):
        activate(child, dan)


def test_what_has_come_through_is_started_by_others_too(prod, staging, rita, dan, first, second):
    bound(staging, second, actor=rita)
    assert activate(spawn(at_work(prod, first), second, None), dan).state == S.ACTIVE


def test_another_agent_that_a_genome_names_comes_through_the_channel_before(prod, staging, alice, dan, first):
    helper = build(make.template("helper"), alice)
    boss = build(make.template("boss"), alice, child_templates=[helper.template.typeid])
    parent = make.instance(version=boss, environment=prod.environment)
    assert "has worked properly in staging" in refused(parent, helper, None)
    tried = make.instance(version=boss, environment=staging.environment)
    activate(spawn(tried, helper, None), dan)
    assert activate(spawn(parent, helper, None), dan).state == S.ACTIVE


def test_a_fleet_that_was_taken_over_goes_on_starting_what_it_started(prod, alice, dan):
    helper = build(make.template("helper"), alice)
    boss = build(make.template("boss"), alice, child_templates=[helper.template.typeid])
    row = {"environment": prod.environment.slug, "provider": prod.provider.slug}
    rows = [
        row | {"version": boss.typeid, "name": "boss"},
        row | {"version": helper.typeid, "name": "helper"},
    ]
    made = services.provision_instances(
        tenant=boss.tenant, rows=read_instances(rows).rows, actor=dan, reason="It ran before ARM"
    )
    parent, other = [activate(one, dan) for one in made]
    child = spawn(parent, helper, None)
    assert activate(child, dan).state == S.ACTIVE and not child.adopted
    AgentInstance.objects.filter(pk__in=[other.pk, child.pk]).update(state=S.RETIRED)
    with pytest.raises(SpawnRefused, match="has worked properly in staging"):
        spawn(parent, helper, None)


def test_an_exception_lets_a_child_in_as_any_other_and_not_by_who_granted_it(
    prod, tenant, dan, first, second
):
    erin = make.hired("erin", "approver", tenant)
    make.grant(erin, tenant, *Right)
    until = clock.now() + timedelta(days=1)
    services.grant_exception(
        slot=prod, version=second, gate=CHANNEL_ORDER, until=until, actor=erin, reason="once"
    )
    child = spawn(at_work(prod, first), second, None)
    with pytest.raises(NotAllowed, match="another person activates it"):
        activate(child, erin)
    assert activate(child, dan).state == S.ACTIVE
