"""What the lifecycles do by rule, line by line of their tables: send back, supersede, drain what was left, tell of what is due."""

from datetime import timedelta

import pytest
from django.urls import reverse

from arm import clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ChangeRecord
from registry import gates, services, tasks
from registry.fitness import CardBegun
from registry.gates import GateRefused
from registry.lifecycle import InstanceState, VersionState
from registry.models import InstanceStatus
from telemetry.models import Incident
from tests import make

pytestmark = pytest.mark.django_db
V, S = VersionState, InstanceState


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def prod(acme):
    return make.environment("prod", name="Production")


@pytest.fixture
def rita(acme):
    """Release manager."""
    return make.everything(make.user("rita", member_of=acme), acme)


@pytest.fixture
def agent(acme):
    return make.template("refunds")


def deprecate(version, actor):
    return services.move_version(version=version, to=V.DEPRECATED, actor=actor, reason="Old")


def state_of(row):
    row.refresh_from_db()
    return row.state


# Candidate → Testing


class Passes:
    """A gate whose answer the test changes."""

    name, said = "suites passed", ""

    def check(self, version, to):
        return gates.Verdict(self.name, not self.said, self.said or "All passed.")


@pytest.fixture
def passing(settings, monkeypatch):
    settings.PROMOTION_GATES = [f"{__name__}.Passes"]
    return lambda said: monkeypatch.setattr(Passes, "said", said)


def test_a_candidate_that_would_not_pass_now_goes_back_to_testing_and_is_told_why(acme, agent, passing):
    candidate = make.version(template=agent, state=V.CANDIDATE)
    approved = make.approved(template=agent)
    passing("“work” v2 is newer than what was run (v1).")
    assert tasks.something_changed(tenant_id=acme.pk, suite_id="x") == 1
    assert (state_of(candidate), state_of(approved)) == (V.TESTING, V.APPROVED)
    record = ChangeRecord.objects.get(verb="registry.version.moved")
    assert (record.actor_label, record.credential) == ("ARM", "rule")
    assert record.reason.startswith("“work” v2 is newer")
    assert record.after["lost"][0]["gate"] == "suites passed"


def test_a_candidate_that_still_passes_stays_one(acme, agent, passing):
    candidate = make.version(template=agent, state=V.CANDIDATE)
    assert tasks.something_changed(tenant_id=acme.pk) == 0
    assert state_of(candidate) == V.CANDIDATE and not ChangeRecord.objects.exists()


def test_a_change_for_one_agent_sends_back_no_other(acme, agent, passing):
    mine, other = (make.version(template=row, state=V.CANDIDATE) for row in (agent, make.template()))
    passing("changed")
    tasks.something_changed(tenant_id=acme.pk, template_id=str(agent.pk))
    assert (state_of(mine), state_of(other)) == (V.TESTING, V.CANDIDATE)


# Candidate → Approved


def test_where_evidence_is_asked_for_a_card_is_begun_before_approval(acme, agent, rita):
    candidate = make.version(template=agent, state=V.CANDIDATE)
    gate = CardBegun()
    assert not gate.check(candidate, V.APPROVED).applies, "the tenant does not ask for it"
    services.require_evidence(tenant=acme, required=True, actor=rita, reason="Audit")
    with pytest.raises(GateRefused, match="No Agent Card of it was issued"):
        services.move_version(version=candidate, to=V.APPROVED, actor=rita, reason="r")
    card = make.card(candidate)
    assert gate.check(candidate, V.APPROVED).passed, "asked for, and nothing has failed"
    artefacts = type(card.artefact).objects.filter(pk=card.artefact_id)
    artefacts.update(problem="no key")
    assert "has failed" in gate.check(candidate, V.APPROVED).reason
    artefacts.update(problem="", abandoned_at=clock.now())
    assert "has failed" in gate.check(candidate, V.APPROVED).reason, "given up, like sheets and reports"
    assert not gate.check(candidate, V.TESTING).applies


# Approved → Deprecated


def test_a_newer_approved_version_supersedes_what_nothing_has_any_more(acme, agent):
    old, new = make.approved(template=agent), make.approved(template=agent)
    tasks.version_moved(tenant_id=acme.pk, version_id=str(new.pk), state="approved")
    assert (state_of(old), state_of(new)) == (V.DEPRECATED, V.APPROVED)
    record = ChangeRecord.objects.get(verb="registry.version.moved")
    assert record.credential == "rule" and record.after["superseded_by"] == new.typeid


@pytest.mark.parametrize("member", ["current_version", "previous_version"])
def test_a_version_that_a_slot_has_is_not_superseded(acme, prod, agent, member):
    old, new = make.approved(template=agent), make.approved(template=agent)
    make.slot(environment=prod, **{"current_version": new} | {member: old})
    assert services.supersede(tenant_id=acme.pk, template_id=agent.pk) == []
    assert state_of(old) == V.APPROVED


def test_a_version_that_works_outside_slots_keeps_its_way_back_to_active(acme, prod, agent):
    old, _ = make.approved(template=agent), make.approved(template=agent)
    instance = make.instance(version=old, environment=prod, state=S.PAUSED)
    assert services.supersede(tenant_id=acme.pk, template_id=agent.pk) == []
    type(instance).objects.filter(pk=instance.pk).update(state=S.RETIRED)
    assert services.supersede(tenant_id=acme.pk, template_id=agent.pk) == [old]


def test_only_an_approved_newer_version_supersedes_and_only_its_own_agent(acme, agent):
    old, other = make.approved(template=agent), make.approved(template=make.template())
    make.version(template=agent, state=V.CANDIDATE)
    assert services.supersede(tenant_id=acme.pk, template_id=agent.pk) == []
    assert (state_of(old), state_of(other)) == (V.APPROVED, V.APPROVED)


def test_rebinding_the_last_slot_away_twice_supersedes(acme, prod, agent, rita, work_off):
    first, second, third = (make.approved(template=agent) for _ in range(3))
    slot = make.slot(environment=prod)
    for version in (first, second, third):
        services.bind_slot(slot=slot, version=version, actor=rita, reason="go")
    work_off()
    assert (state_of(first), state_of(second), state_of(third)) == (V.DEPRECATED, V.APPROVED, V.APPROVED)


# Deprecated


def test_draining_starts_only_in_slots_that_were_rebound_away(acme, prod, agent, rita, work_off):
    old, new = make.approved(template=agent), make.approved(template=agent)
    left, still = make.slot(environment=prod), make.slot(environment=prod)
    for slot in (left, still):
        services.bind_slot(slot=slot, version=old, actor=rita, reason="go")
    where = {"version": old, "environment": prod}
    in_left = make.instance(slot=left, **where)
    paused = make.instance(slot=left, state=S.PAUSED, **where)
    quarantined = make.instance(slot=left, state=S.QUARANTINED, **where)
    in_still, outside = make.instance(slot=still, **where), make.instance(**where)
    services.bind_slot(slot=left, version=new, actor=rita, reason="newer")
    work_off()
    assert state_of(in_left) == S.ACTIVE, "what is left is not deprecated yet"
    deprecate(old, rita)
    work_off()
    assert state_of(in_left) == S.DRAINING
    assert (state_of(paused), state_of(quarantined)) == (S.PAUSED, S.QUARANTINED), "a stop is not loosened"
    assert (state_of(in_still), state_of(outside)) == (S.ACTIVE, S.ACTIVE)
    services.bind_slot(slot=still, version=new, actor=rita, reason="newer, too")
    work_off()
    assert (state_of(in_still), state_of(outside)) == (S.DRAINING, S.ACTIVE)
    drained = ChangeRecord.objects.about(in_still).get(verb="registry.instance.restricted")
    assert drained.credential == "rule" and "rebound away from it" in drained.reason


def test_a_deprecated_version_is_bound_nowhere_anew(prod, agent, rita):
    with pytest.raises(GateRefused, match="approved versions only"):
        services.bind_slot(
            slot=make.slot(environment=prod), version=make.version(template=agent, state=V.DEPRECATED), actor=rita,
            reason="r",
        )  # fmt: skip


def test_slots_that_still_bind_it_get_a_due_date_and_are_listed(client, prod, agent, rita):
    old = make.approved(template=agent)
    slot = make.slot(environment=prod, current_version=old)
    gone = deprecate(old, rita)
    assert gone.rebind_by - gone.state_since == timedelta(days=14)
    assert ChangeRecord.objects.filter(verb="registry.version.moved").first().after["rebind_by"]
    client.force_login(rita)
    page = client.get(old.get_absolute_url()).content.decode()
    assert "Slots that still bind it" in page and str(slot) in page
    unbound = deprecate(make.approved(template=agent), rita)
    assert unbound.rebind_by is None
    assert "Slots that still bind it" not in client.get(unbound.get_absolute_url()).content.decode()


def test_past_the_due_date_one_incident_names_the_slots(acme, prod, agent, rita):
    old = make.approved(template=agent)
    slot = make.slot(environment=prod, current_version=old)
    due = deprecate(old, rita).rebind_by
    assert tasks.tell_overdue(tenant_id=acme.pk) == 0
    with clock.at(due):
        assert tasks.tell_overdue(tenant_id=acme.pk) == 1
        assert tasks.tell_overdue(tenant_id=acme.pk) == 0
    incident = Incident.objects.get()
    assert (
        incident.facts["slots"] == [str(slot)] and "still bound in 1 slot past the due date" in incident.title
    )


def test_what_was_rebound_in_time_is_not_overdue(acme, prod, agent, rita):
    old = make.approved(template=agent)
    slot = make.slot(environment=prod, current_version=old)
    due = deprecate(old, rita).rebind_by
    type(slot).objects.filter(pk=slot.pk).update(current_version=make.approved(template=agent))
    with clock.at(due):
        assert tasks.tell_overdue(tenant_id=acme.pk) == 0
    assert not Incident.objects.exists()


def test_the_due_date_is_moved_on_the_record_and_told_of_anew(client, acme, prod, agent, rita):
    old = make.approved(template=agent)
    make.slot(environment=prod, current_version=old)
    due = deprecate(old, rita).rebind_by
    with clock.at(due):
        tasks.tell_overdue(tenant_id=acme.pk)
    later = clock.now() + timedelta(days=30)
    services.set_rebind_date(version=old, by=later, actor=rita, reason="Freeze")
    old.refresh_from_db()
    assert (old.rebind_by, old.overdue_told_at) == (later, None)
    record = ChangeRecord.objects.get(verb="registry.version.rebind_date_set")
    assert record.before["rebind_by"] == clock.exactly(due)
    with pytest.raises(Invalid):
        services.set_rebind_date(version=old, by=clock.now(), actor=rita, reason="r")
    with pytest.raises(Conflict, match="only a deprecated version"):
        services.set_rebind_date(version=make.approved(), by=later, actor=rita, reason="r")
    with pytest.raises(NotAllowed):
        services.set_rebind_date(
            version=old, by=later, actor=make.user("mallory", member_of=acme), reason="r"
        )
    client.force_login(rita)
    form = reverse("registry:version_due", args=[old.typeid])
    client.post(form, {"by": "2031-01-02T03:04", "reason": "r"})
    old.refresh_from_db()
    assert (old.rebind_by.year, old.rebind_by.month) == (2031, 1)
    answer = client.post(
        f"/api/v1/registry/versions/{old.typeid}/due/",
        {"by": "2032-01-02T03:04:00Z", "reason": "r"},
        content_type="application/json",
    )
    assert answer.json()["rebind_by"].startswith("2032-01-02")


# Draining


class Jobs:
    begun: dict = {}

    def of(self, instances):
        return {instance.pk: self.begun for instance in instances}


def test_work_in_flight_is_named_with_counts_and_holds_retirement(settings, monkeypatch, prod, rita):
    settings.WORK_IN_FLIGHT = [f"{__name__}.Jobs"]
    instance = make.instance(environment=prod, state=S.DRAINING)
    monkeypatch.setattr(Jobs, "begun", {"jobs without an outcome": 3, "runs": 0})
    InstanceStatus.objects.filter(instance=instance).update(telemetry_at=clock.now())
    with pytest.raises(GateRefused) as refused:
        services.move_instance(instance=instance, to=S.RETIRED, actor=rita, reason="r")
    said = refused.value.message
    assert "Its last event came at" in said and "It has 3 jobs without an outcome in flight." in said
    monkeypatch.setattr(Jobs, "begun", {})
    with clock.at(clock.now() + timedelta(minutes=2)):
        services.move_instance(instance=instance, to=S.RETIRED, actor=rita, reason="done")
    assert state_of(instance) == S.RETIRED


def test_a_cancelled_drain_is_active_again_whatever_is_in_flight(settings, monkeypatch, prod, rita):
    settings.WORK_IN_FLIGHT = [f"{__name__}.Jobs"]
    monkeypatch.setattr(Jobs, "begun", {"jobs without an outcome": 3})
    instance = make.instance(environment=prod, state=S.DRAINING)
    InstanceStatus.objects.filter(instance=instance).update(telemetry_at=clock.now())
    services.move_instance(instance=instance, to=S.ACTIVE, actor=rita, reason="Needed after all")
    assert state_of(instance) == S.ACTIVE


def test_the_page_of_a_draining_instance_says_what_is_in_flight(client, settings, monkeypatch, prod, rita):
    settings.WORK_IN_FLIGHT = [f"{__name__}.Jobs"]
    monkeypatch.setattr(Jobs, "begun", {"jobs without an outcome": 3})
    instance = make.instance(environment=prod, state=S.DRAINING)
    client.force_login(rita)
    assert "3 jobs without an outcome in flight" in client.get(instance.get_absolute_url()).content.decode()
