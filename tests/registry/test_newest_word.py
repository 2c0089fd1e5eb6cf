"""What a channel has said of a version: the newest word counts, and a return says nothing new."""

from datetime import timedelta

import pytest
from django.urls import reverse

from arm import clock
from arm.rights import Right
from registry import services
from registry.gates import GateRefused
from registry.services import Duplicate
from telemetry.models import Incident
from telemetry.services import mitigate, resolve
from tests import make
from tests.registry.releasing import Told, bound, running, started

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def plugged(settings, monkeypatch):
    settings.BINDING_GATES = [
        "registry.gates.VersionMayBeBound",
        "registry.gates.stopped.NothingStands",
        "registry.plugins.ChannelOrder",
    ]
    settings.ACTIVATION_GATES = ["registry.gates.VersionMayRun", "registry.gates.placed.InItsPlace"]
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True})


@pytest.fixture
def staging(tenant):
    return make.slot(
        environment=make.environment("staging", position=1, production=False), role=make.role("cook")
    )


@pytest.fixture
def prod(staging):
    return make.slot(environment=make.environment("prod", name="Production", position=2), role=staging.role)


def beside(slot):
    """Another slot of the same role in the same channel."""
    return make.slot(environment=slot.environment, role=slot.role)


def aborted(slot, version, rita, **more):
    rollout = started(slot, version, rita, **more)
    services.abort_rollout(rollout=rollout, actor=rita, reason="no")
    slot.refresh_from_db()
    return slot


def unhealthy(slot, version, rita):
    """A rollout of the version that was found unhealthy, and is paused."""
    rollout = started(slot, version, rita, health_gates=["errors"])
    Told.said["errors"] = False
    assert services.advance_rollout(rollout_id=rollout.pk)
    Told.said["errors"] = True
    rollout.refresh_from_db()
    return rollout


def test_what_an_abort_returns_to_is_not_proven_by_that(staging, prod, rita, old, new):
    aborted(staging, old, rita)  # the slot was empty: it keeps it
    with pytest.raises(GateRefused, match="nobody has bound it anew in staging"):
        bound(prod, old, actor=rita)
    aborted(staging, new, rita)
    assert staging.current_version == old
    with pytest.raises(GateRefused, match="nobody has bound it anew in staging"):
        bound(prod, old, actor=rita)


def test_somebody_stands_for_what_an_abort_left_by_binding_it_again(staging, prod, rita, old):
    aborted(staging, old, rita)
    staging = bound(staging, old, actor=rita)
    assert (staging.current_version, staging.previous_version, staging.generation) == (old, None, 2)
    assert staging.bindings.filter(until=None).count() == 1
    assert bound(prod, old, actor=rita).current_version == old
    with pytest.raises(Duplicate):
        bound(staging, old, actor=rita)


def test_what_was_bound_properly_before_is_not_bound_again_after_a_return(staging, rita, old, new):
    bound(staging, old, actor=rita)
    aborted(staging, new, rita)
    assert staging.current_version == old
    with pytest.raises(Duplicate):
        bound(staging, old, actor=rita)


def test_the_page_says_that_nobody_stands_for_it_and_leads_to_who_may(client, staging, rita, tenant, old):
    vera = make.user("vera", member_of=tenant)
    make.grant(vera, tenant, Right.READ_DIRECTORY)
    aborted(staging, old, rita)
    again = f"{reverse('registry:slot_bind', args=[staging.typeid])}?version={old.typeid}"
    for who, leads in ((rita, True), (vera, False)):
        client.force_login(who)
        page = client.get(staging.get_absolute_url()).content.decode()
        assert "nobody stands for it" in page and (again in page) is leads
    client.force_login(rita)
    asked = {"version": old.typeid, "reason": "It was tried by hand", "idempotency": ""}
    assert client.post(again, asked).status_code == 302
    page = client.get(staging.get_absolute_url()).content.decode()
    assert "nobody stands for it" not in page and "It was tried by hand" in page


@pytest.mark.parametrize("way", ["bakes", "bound", "canary"])
def test_a_later_trial_in_another_slot_of_the_channel_counts(staging, prod, rita, old, new, way):
    staging = bound(staging, old, new, old, actor=rita)
    other = bound(beside(staging), old, actor=rita)
    running(other, old, 1)
    if way == "bakes":
        started(other, new, rita)
    else:
        share = {"strategy": "canary", "percents": [50, 100]} if way == "canary" else {}
        aborted(other, new, rita, **share)
    said = "is still baking" if way == "bakes" else "was taken back"
    with pytest.raises(GateRefused, match=f"{new} {said} for cook in staging, the channel before"):
        bound(prod, new, actor=rita)
    assert bound(prod, old, actor=rita).current_version == old


def test_the_next_word_counts_again(staging, prod, rita, old, new):
    bound(staging, old, actor=rita)
    aborted(staging, new, rita)
    bound(staging, new, actor=rita)
    assert bound(prod, new, actor=rita).current_version == new


def test_a_rollout_that_ended_well_after_one_that_was_aborted_counts(staging, prod, rita, old, new):
    bound(staging, old, actor=rita)
    aborted(staging, new, rita)
    rollout = started(staging, new, rita, health_gates=["errors"])
    with clock.at(clock.now() + timedelta(minutes=11)):
        assert services.advance_rollout(rollout_id=rollout.pk)
    assert bound(prod, new, actor=rita).current_version == new


def test_a_rollout_that_never_began_says_nothing(staging, prod, rita, new):
    bound(staging, new, actor=rita)
    plan = services.plan_rollout(
        slots=[beside(staging)], version=new, strategy="all", actor=rita, reason="later"
    )
    services.abort_rollout(rollout=plan, actor=rita, reason="not at all")
    assert bound(prod, new, actor=rita).current_version == new


def test_another_role_is_told_nothing_by_it(staging, prod, rita, new):
    bound(staging, new, actor=rita)
    aborted(make.slot(environment=staging.environment, role=make.role("waiter")), new, rita)
    assert bound(prod, new, actor=rita).current_version == new


def test_outside_slots_it_counts_as_well(staging, prod, rita, dan, old, new):
    bound(staging, old, new, actor=rita)
    one = services.provision_instance(
        version=new, environment=prod.environment, provider=prod.provider, name="c", actor=dan, reason="r"
    )
    other = bound(beside(staging), old, actor=rita)
    aborted(other, new, rita)
    with pytest.raises(GateRefused, match="has not come through staging"):
        services.move_instance(instance=one, to="active", actor=dan, reason="go")
    bound(other, new, actor=rita)
    assert services.move_instance(instance=one, to="active", actor=dan, reason="go").state == "active"


# an incident that stopped a rollout


def test_an_incident_is_not_passed_by_with_an_abort_and_a_plain_binding(
    staging, prod, tenant, rita, old, new
):
    bound(staging, old, actor=rita)
    rollout = unhealthy(staging, new, rita)
    services.abort_rollout(rollout=rollout, actor=rita, reason="I do it by hand")
    incident = Incident.objects.get()
    for slot in (staging, beside(staging), prod):
        with pytest.raises(GateRefused, match=f"stopped with incident {incident.typeid}.*resolve that first"):
            bound(slot, new, actor=rita)
        with pytest.raises(GateRefused, match=incident.typeid):
            started(slot, new, rita)
    alice = make.everything(make.user("alice", member_of=tenant), tenant)
    mitigate(incident=incident, measure=None, actor=alice, reason="seen")
    with pytest.raises(GateRefused, match=incident.typeid):
        bound(staging, new, actor=rita)
    resolve(incident=incident, root_cause="A slow host", remediation="Another one", actor=alice)
    assert bound(staging, new, actor=rita).current_version == new
    assert bound(prod, new, actor=rita).current_version == new


def test_while_it_is_paused_no_other_slot_gets_it(staging, rita, old, new):
    bound(staging, old, actor=rita)
    unhealthy(staging, new, rita)
    with pytest.raises(GateRefused, match="stopped with incident"):
        bound(beside(staging), new, actor=rita)


def test_earlier_channels_and_other_versions_are_not_held_up(staging, prod, rita, old, new):
    bound(staging, old, new, actor=rita)
    bound(prod, old, actor=rita)
    unhealthy(prod, new, rita)
    assert bound(beside(staging), new, actor=rita).current_version == new
    assert bound(beside(prod), old, actor=rita).current_version == old


def test_the_end_of_harm_waits_for_no_incident(staging, rita, dan, old, new):
    staging = bound(staging, old, new, actor=rita)
    other = bound(beside(staging), new, actor=rita)
    unhealthy(other, old, rita)
    services.roll_back_slot(slot=staging, actor=dan, reason="It lies", drain="at_once")
    staging.refresh_from_db()
    assert staging.current_version == old
    (warning,) = staging.rollbacks.get().dossier["warnings"]
    assert warning["gate"] == "no incident stands"
