"""Rollbacks and rollouts with the incidents that they name, open, and are stopped by."""

from datetime import timedelta

import pytest

from arm import clock, ids
from arm.errors import Conflict, Invalid
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services
from registry.models import Rollback
from telemetry.models import Incident
from telemetry.services import open_incident, reopen, resolve, triage
from tests import make
from tests.registry.releasing import Told, bound, running, started, states

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=11)


@pytest.fixture(autouse=True)
def plugged(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound"]
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True, "incidents": True, "cost": True})


@pytest.fixture
def slot(alice, old, new):
    slot = bound(make.slot(environment=make.environment("prod", name="Production")), old, new, actor=alice)
    running(slot, new, 1)
    return slot


def roll_back(slot, actor, **more):
    return services.roll_back_slot(slot=slot, actor=actor, reason="It lies", **more)


def resolved(incident, actor):
    if incident.state == "open":
        triage(incident=incident, severity=incident.severity, owner=None, actor=actor, reason="Seen")
    return resolve(incident=incident, root_cause="A bug", remediation="A fix", actor=actor)


# what a rollback names


def test_a_rollback_does_not_name_an_incident_that_is_not_there(slot, new, alice):
    with pytest.raises(Invalid, match="no such incident") as refused:
        roll_back(slot, alice, incident=ids.uuid7())
    assert refused.value.errors[0]["pointer"] == "/incident"
    slot.refresh_from_db()
    assert slot.current_version == new and states(slot, new) == ["active"] and not Rollback.objects.exists()


def test_nor_one_that_is_settled(slot, new, alice):
    settled = resolved(make.incident(new), alice)
    with pytest.raises(Conflict, match=f"{settled.typeid} is Resolved"):
        roll_back(slot, alice, incident=settled.pk)
    assert not Rollback.objects.exists()


def test_nor_one_that_the_person_does_not_see(slot, new, tenant):
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, slot.environment, *Right)
    hidden = make.incident(make.instance(version=new, environment=make.environment("dev")))
    with pytest.raises(Invalid, match="no such incident"):
        roll_back(slot, bob, incident=hidden.pk)
    seen = make.incident(make.instance(version=new, environment=slot.environment))
    made = roll_back(slot, bob, incident=seen.pk)
    assert made.incident_id == seen.pk and made.dossier["drain"] == "at_once"


def test_the_api_says_which_member_is_wrong(client, slot, new, alice):
    client.force_login(alice)
    where = f"/api/v1/registry/slots/{slot.typeid}/roll-back/"
    body = {"leaving": new.typeid, "reason": "It lies", "incident": ids.encode("inc", ids.uuid7())}
    answer = client.post(where, body, content_type="application/json")
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/incident"
    body["incident"] = resolved(make.incident(new), alice).typeid
    assert client.post(where, body, content_type="application/json").status_code == 409
    body["incident"] = make.incident(new).typeid
    answer = client.post(where, body, content_type="application/json")
    assert answer.status_code == 201 and answer.json()["incident"] == body["incident"]


def test_a_second_rollback_stands_on_the_timeline_of_the_incident_of_the_first(slot, old, new, alice):
    other = bound(make.slot(environment=slot.environment), old, new, actor=alice)
    roll_back(slot, alice)
    again = roll_back(other, alice)
    incident = Incident.objects.get(version=new)
    note = incident.entries.get(kind="note")
    assert f"rolled back in {other}" in note.text and other.typeid in note.links
    assert again.incident_id == incident.pk
    assert ChangeRecord.objects.filter(verb="telemetry.incident.noted", target_id=incident.pk).count() == 1


# what stops a rollout


@pytest.fixture
def third(old):
    return make.approved(template=old.template)


def canary(slot, version, actor, **more):
    gates = {"percents": [50, 100], "health_gates": ["errors", "cost"], "drain": "replaced"}
    return started(slot, version, actor, strategy="canary", **gates | more)


def sweep(rollout, after=LATER):
    with clock.at(clock.now() + after):
        moved = services.advance_rollout(rollout_id=rollout.pk)
    rollout.refresh_from_db()
    return moved


def stopped(slot, version, actor, **more):
    """A rollout that paused because its step was unhealthy, and its incident."""
    rollout = canary(slot, version, actor, **more)
    Told.said["errors"] = False
    sweep(rollout)
    Told.said["errors"] = True
    return rollout, Incident.objects.get(pk=rollout.incident_id)


@pytest.mark.parametrize(
    ("bad", "kind", "harm"),
    [
        (["cost"], "cost_overrun", False),
        (["errors"], "quality_regression", True),
        (["errors", "cost"], "quality_regression", True),
    ],
)
def test_a_step_says_harm_unless_nothing_but_cost_speaks_against_it(slot, third, alice, bad, kind, harm):
    rollout = canary(slot, third, alice)
    Told.said.update(dict.fromkeys(bad, False))
    sweep(rollout)
    incident = Incident.objects.get(pk=rollout.incident_id)
    assert (incident.kind, incident.harm) == (kind, harm)


def test_a_second_unhealthy_rollout_stands_on_the_timeline_of_the_first(slot, old, third, alice):
    _, incident = stopped(slot, third, alice, reaction="abort")
    again, same = stopped(slot, third, alice, reaction="abort")
    assert same == incident
    note = incident.entries.get(kind="note")
    assert again.typeid in note.links and "Step 1 is unhealthy" in note.text


def test_a_rollout_whose_incident_is_reopened_pauses_and_nobody_confirms_its_step(slot, third, alice):
    rollout, incident = stopped(slot, third, alice)
    resolved(incident, alice)
    services.resume_rollout(rollout=rollout, actor=alice, reason="resolved")
    reopen(incident=incident, actor=alice, reason="It is back")
    with clock.at(clock.now() + LATER), pytest.raises(Conflict, match="was reopened"):
        services.confirm_step(rollout=rollout, step=1, actor=alice, reason="looks good")
    assert sweep(rollout)
    slot.refresh_from_db()
    assert (rollout.state, slot.canary_share) == ("paused", 50)
    assert incident.typeid in rollout.said
    with pytest.raises(Conflict, match=incident.typeid):
        services.resume_rollout(rollout=rollout, actor=alice, reason="again")


def test_one_that_goes_on_after_its_incident_was_resolved_ends_its_steps(slot, third, alice):
    rollout, incident = stopped(slot, third, alice)
    resolved(incident, alice)
    services.resume_rollout(rollout=rollout, actor=alice, reason="resolved")
    assert sweep(rollout, 2 * LATER) and sweep(rollout, 4 * LATER)
    assert rollout.state == "completed"


@pytest.mark.parametrize(("settled", "left"), [(False, "draining"), (True, "active")])
def test_an_abort_drains_at_once_only_while_the_incident_stands(slot, new, third, alice, settled, left):
    rollout = started(slot, third, alice, health_gates=["errors"], drain="replaced")
    third.instances.filter(slot=slot).update(state="active")
    new.instances.filter(slot=slot).update(state="retired")
    Told.said["errors"] = False
    sweep(rollout, timedelta(minutes=1))
    if settled:
        resolved(Incident.objects.get(pk=rollout.incident_id), alice)
        services.resume_rollout(rollout=rollout, actor=alice, reason="resolved")
    services.abort_rollout(rollout=rollout, actor=alice, reason="no")
    assert states(slot, third) == [left]


def test_an_incident_of_another_kind_does_not_stop_it(slot, third, alice):
    rollout = canary(slot, third, alice, health_gates=["errors"])
    open_incident(kind="outage", severity="s2", title="x", subject=third, actor=None)
    assert sweep(rollout) and rollout.state == "running"
