"""Where a slot goes back to: never to what was found bad, and always to what is good if there is any."""

from datetime import timedelta

import pytest

from arm import clock
from arm.errors import Conflict
from arm.models import ChangeRecord
from registry import queries, services
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentVersion, SlotBinding
from registry.services import lifecycles
from telemetry.models import Incident
from tests import make
from tests.registry.releasing import Told, bound, running, started

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def plugged(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    settings.ACTIVATION_GATES = ["registry.gates.VersionMayRun", "registry.gates.placed.InItsPlace"]
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True})


@pytest.fixture
def prod(tenant):
    return make.environment("prod", name="Production")


@pytest.fixture
def slot(prod, rita, old):
    return bound(make.slot(environment=prod, role=make.role("clerk")), old, actor=rita)


def later(old):
    return make.approved(template=old.template)


def roll_back(slot, dan):
    services.roll_back_slot(slot=slot, actor=dan, reason="It lies", drain="at_once")
    slot.refresh_from_db()
    return slot


def unhealthy(slot, version, rita, **more):
    """A rollout of the version that was found unhealthy and aborted."""
    rollout = started(slot, version, rita, health_gates=["errors"], reaction="abort", **more)
    Told.said["errors"] = False
    assert services.advance_rollout(rollout_id=rollout.pk)
    Told.said["errors"] = True
    rollout.refresh_from_db()
    slot.refresh_from_db()
    assert rollout.state == "aborted" and rollout.incident_id
    return rollout


def test_a_second_rollback_does_not_land_on_what_an_abort_has_left(slot, rita, dan, old, new):
    unhealthy(slot, new, rita)
    slot = bound(slot, later(old), actor=rita)
    slot = roll_back(slot, dan)
    assert (slot.current_version, slot.previous_version, slot.goes_back_to) == (old, None, None)
    with pytest.raises(Conflict, match="no previous version"):
        roll_back(slot, dan)


def test_a_second_rollback_passes_by_what_an_abort_has_left(prod, rita, dan, old, new):
    oldest = later(old)
    slot = bound(make.slot(environment=prod), oldest, old, actor=rita)
    unhealthy(slot, new, rita)
    slot = roll_back(bound(slot, later(old), actor=rita), dan)
    assert (slot.current_version, slot.goes_back_to) == (old, oldest)


def test_a_rollback_does_not_land_on_what_was_found_unhealthy_here_since(slot, rita, dan, old, new):
    slot = bound(slot, new, actor=rita)
    running(slot, new, 1)
    unhealthy(slot, old, rita, strategy="canary", percents=[50, 100])
    assert (slot.current_version, slot.previous_version, slot.goes_back_to) == (new, old, None)
    with pytest.raises(Conflict, match="no previous version"):
        roll_back(slot, dan)


def test_what_a_person_has_aborted_in_good_health_may_be_gone_back_to(slot, rita, dan, old, new):
    slot = bound(slot, new, actor=rita)
    running(slot, new, 1)
    rollout = started(slot, old, rita, strategy="canary", percents=[50, 100])
    services.abort_rollout(rollout=rollout, actor=rita, reason="Next week")
    assert roll_back(slot, dan).current_version == old


@pytest.fixture
def two(slot, prod, rita, old, new):
    """Two slots that went from `old` to `new`."""
    other = bound(make.slot(environment=prod, role=slot.role), old, new, actor=rita)
    return bound(slot, new, actor=rita), other


def test_what_was_rolled_back_elsewhere_before_is_passed_by(two, rita, dan, old, new):
    first, second = two
    roll_back(first, dan)
    second = bound(second, later(old), actor=rita)
    assert second.previous_version == old
    assert roll_back(second, dan).current_version == old


def test_what_was_rolled_back_elsewhere_since_is_passed_by(two, rita, dan, old, new):
    first, second = two
    second = bound(second, later(old), actor=rita)
    roll_back(first, dan)
    second.refresh_from_db()
    assert (second.previous_version, second.goes_back_to) == (new, old)
    assert queries.rollback_preview(second, dan).target == old
    assert roll_back(second, dan).current_version == old


def test_a_rollout_knows_it_too(two, rita, dan, old, new):
    first, second = two
    roll_back(first, dan)
    started(second, later(old), rita)
    second.refresh_from_db()
    assert second.previous_version == old


def test_what_comes_is_never_what_it_would_go_back_to(two, rita, dan, old):
    first, second = two
    roll_back(first, dan)
    second = bound(second, old, actor=rita)
    assert (second.current_version, second.previous_version) == (old, None)


def test_the_page_offers_no_rollback_to_nothing(client, slot, rita, dan, old, new):
    slot = bound(slot, new, actor=rita)
    client.force_login(dan)
    offered = f"{slot.get_absolute_url()}roll-back/"
    assert offered in client.get(slot.get_absolute_url()).content.decode()
    AgentVersion.objects.filter(pk=old.pk).update(rolled_back=True)
    page = client.get(slot.get_absolute_url()).content.decode()
    assert offered not in page and "a rollback goes nowhere" in page


def test_a_return_is_marked_for_good(slot, rita, dan, old, new):
    slot = roll_back(bound(slot, new, actor=rita), dan)
    assert list(slot.bindings.order_by("since").values_list("version", "returned")) == [
        (old.pk, False),
        (new.pk, False),
        (old.pk, True),
    ]
    with pytest.raises(Exception, match="returned"):
        SlotBinding.objects.filter(slot=slot, returned=True).update(returned=False)


# back to what is deprecated


def test_an_abort_back_to_what_ends_has_a_due_date_that_is_told(slot, tenant, rita, dan, old, new):
    running(slot, old, 1)
    rollout = started(slot, new, rita)
    services.move_version(version=old, to=VersionState.DEPRECATED, actor=rita, reason="Old")
    old.refresh_from_db()
    assert old.rebind_by is None, "no slot binds it"
    services.abort_rollout(rollout=rollout, actor=rita, reason="no")
    old.refresh_from_db()
    assert old.rebind_by > clock.now() + timedelta(days=13)
    record = ChangeRecord.objects.get(verb="registry.version.rebind_date_set")
    assert record.links == [rollout.typeid] and record.after["rebind_by"] == clock.exactly(old.rebind_by)
    waiting = old.instances.get(state=InstanceState.PROVISIONING)
    with clock.at(old.rebind_by + timedelta(minutes=1)):
        assert lifecycles.tell_overdue(tenant_id=tenant.pk) == 1
        with pytest.raises(Conflict, match="had to be rebound by"):
            services.move_instance(instance=waiting, to=InstanceState.ACTIVE, actor=dan, reason="go")
    services.move_instance(instance=waiting, to=InstanceState.ACTIVE, actor=dan, reason="go")


def test_a_due_date_that_passed_meanwhile_is_set_anew_and_one_to_come_stays(slot, rita, old, new):
    soon = clock.now() + timedelta(days=1)
    for by, told in ((clock.now() - timedelta(days=1), clock.now()), (soon, None)):
        rollout = started(slot, later(old), rita)
        AgentVersion.objects.filter(pk=old.pk).update(
            state=VersionState.DEPRECATED, rebind_by=by, overdue_told_at=told
        )
        services.abort_rollout(rollout=rollout, actor=rita, reason="no")
        old.refresh_from_db()
        assert old.overdue_told_at is None
        slot.refresh_from_db()
    assert old.rebind_by == soon
    (record,) = ChangeRecord.objects.filter(verb="registry.version.rebind_date_set")
    assert record.before["rebind_by"] and record.after["rebind_by"] > clock.exactly(soon)
    assert Incident.objects.count() == 1


def test_without_a_due_date_nothing_new_is_provisioned(slot, dan, old):
    AgentVersion.objects.filter(pk=old.pk).update(state=VersionState.DEPRECATED)
    old.refresh_from_db()
    with pytest.raises(Conflict, match="has no due date"):
        services.provision_instance(
            version=old, environment=slot.environment, provider=slot.provider, slot=slot, name="c", actor=dan, reason="r"
        )  # fmt: skip
