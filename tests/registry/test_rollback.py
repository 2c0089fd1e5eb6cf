"""A slot goes back to the version before in one act, and its instances follow."""

import pytest
from django.db import DatabaseError, transaction

from arm.crypto import canonical, digest
from arm.errors import Conflict, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import queries, services
from registry.gates import GateRefused, for_activation
from registry.lifecycle import InstanceState, VersionState
from registry.models import (
    AgentInstance,
    DirectoryRules,
    InstanceInterval,
    InstanceStatus,
    KeyScope,
    Rollback,
    SlotBinding,
)
from telemetry.models import Incident
from tests import make
from tests.registry.releasing import bound, running, started, states

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gates(settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]


@pytest.fixture
def first():
    return make.approved()


@pytest.fixture
def second(first):
    return make.approved(template=first.template)


@pytest.fixture
def slot(tenant, rita, first, second):
    place = make.environment("prod", name="Production")
    return bound(make.slot(environment=place), first, second, actor=rita)


def roll_back(slot, actor, **more):
    return services.roll_back_slot(slot=slot, actor=actor, **{"reason": "It lies", "drain": "at_once"} | more)


def test_the_slot_is_bound_to_the_version_before_which_stays_approved(slot, dan, first, second):
    made = roll_back(slot, dan)
    slot.refresh_from_db()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (slot.current_version, slot.previous_version, slot.generation) == (first, None, 3)
    assert (first.state, first.rolled_back) == (VersionState.APPROVED, False)
    assert (second.state, second.rolled_back) == (VersionState.DEPRECATED, True)
    assert (made.slot, made.from_version, made.to_version, made.actor) == (slot, second, first, dan)
    current = SlotBinding.objects.get(slot=slot, until=None)
    assert (current.version, current.reason) == (first, "It lies")


def test_its_instances_drain_and_as_many_are_provisioned(slot, dan, first, second):
    at_work = running(slot, second, 3)
    stopped = running(slot, second, 1, state=InstanceState.QUARANTINED)
    (waiting,) = running(slot, second, 1, state=InstanceState.PROVISIONING)
    token = make.workload_token(waiting)
    elsewhere = make.instance(version=second)
    made = roll_back(slot, dan)
    assert states(slot, second) == ["draining", "draining", "draining", "quarantined", "retired"]
    assert set(AgentInstance.objects.filter(leaving=True)) == set(at_work), "ARM retires these by itself"
    assert states(slot, first) == ["provisioning"] * 4
    assert (made.drained, made.provisioned) == (3, 4)
    elsewhere.refresh_from_db()
    assert elsewhere.state == InstanceState.ACTIVE, "it stands in no slot that was rolled back"
    new = AgentInstance.objects.filter(slot=slot, version=first)
    assert {row.name for row in new} == {"clerk-0-g3", "clerk-1-g3", "clerk-2-g3"}
    assert InstanceStatus.objects.filter(instance__in=new).count() == 4
    drained = AgentInstance.objects.get(pk=at_work[0].pk)
    assert drained.generation == 2 and drained.restricted_by_id == dan.pk
    intervals = list(InstanceInterval.objects.filter(instance=drained).order_by("since"))
    assert [row.state for row in intervals] == ["active", "draining"]
    assert intervals[0].until == intervals[1].since == drained.state_since and intervals[1].until is None
    assert InstanceInterval.objects.filter(instance__in=new, until=None).count() == 4
    assert AgentInstance.objects.get(pk=stopped[0].pk).generation == 1
    key = KeyScope.objects.get(instance=waiting).key
    assert token and not key.live, "what never began has no key left"


def test_one_record_one_incident_and_one_dossier_say_all_of_it(slot, dan, first, second):
    running(slot, second, 2)
    made = roll_back(slot, dan)
    record = ChangeRecord.objects.get(verb="registry.slot.rolled_back")
    incident = Incident.objects.get()
    assert (made.change_id, made.incident_id) == (record.pk, incident.pk)
    assert (record.before["version"], record.after["version"]) == (second.typeid, first.typeid)
    assert record.after["drained"] == record.after["provisioned"] == 2
    assert record.after["dossier"] == digest(canonical(made.dossier))
    assert (incident.version, incident.kind, incident.state) == (second, "quality_regression", "open")
    assert made.dossier["from"]["genome"] == second.genome.digest
    assert made.dossier["incident"] == record.after["incident"] == incident.typeid
    assert made.dossier["rollouts_elsewhere"] == [] and "rollouts_elsewhere" not in record.after
    each = ChangeRecord.objects.filter(verb="registry.instance.restricted")
    assert each.count() == 2 and {row.after["state"] for row in each} == {"draining"}


def test_a_rollback_is_never_changed(slot, dan):
    made = roll_back(slot, dan)
    for spoil in (lambda: Rollback.objects.update(reason="x"), made.delete):
        with pytest.raises(DatabaseError, match=r"append-only|permission denied"), transaction.atomic():
            spoil()


def test_a_given_incident_is_linked_and_none_is_opened(slot, dan, second):
    incident = make.incident(make.instance(version=second))
    made = roll_back(slot, dan, incident=incident.pk)
    assert made.incident_id == incident.pk and Incident.objects.count() == 1


def test_another_slot_keeps_the_version_unless_it_is_named(slot, rita, dan, first, second):
    other = bound(make.slot(environment=slot.environment), first, second, actor=rita)
    theirs = running(other, second, 2)
    roll_back(slot, dan)
    other.refresh_from_db()
    assert other.current_version == second and states(other, second) == ["active"] * len(theirs)


def test_other_slots_that_are_named_go_back_together(slot, rita, dan, first, second):
    other = bound(make.slot(environment=slot.environment), first, second, actor=rita)
    running(other, second, 2)
    roll_back(slot, dan, also=[other])
    other.refresh_from_db()
    assert other.current_version == first and states(other, second) == ["draining"] * 2
    assert Rollback.objects.count() == 2
    assert len(set(Rollback.objects.values_list("incident_id", flat=True))) == 1 == Incident.objects.count()


def test_one_slot_that_cannot_go_back_keeps_all_as_they_are(slot, rita, dan, first, second):
    other = bound(make.slot(environment=slot.environment), second, actor=rita)
    with pytest.raises(Conflict, match="no previous version"):
        roll_back(slot, dan, also=[other])
    slot.refresh_from_db()
    second.refresh_from_db()
    assert slot.current_version == second and second.state == VersionState.APPROVED
    assert not Rollback.objects.exists() and not Incident.objects.exists()


def test_a_second_rollback_goes_further_back_and_never_to_what_was_rolled_back(tenant, rita, dan, first):
    second, third = (make.approved(template=first.template) for _ in range(2))
    place = make.environment("prod")
    slot = bound(make.slot(environment=place), first, second, third, actor=rita)
    assert roll_back(slot, dan).to_version == second
    slot.refresh_from_db()
    assert slot.previous_version == first
    assert roll_back(slot, dan).to_version == first
    with pytest.raises(Conflict, match="no previous version"):
        roll_back(slot, dan)


def test_a_target_that_may_not_run_any_more_is_refused(slot, dan, first):
    first.state = VersionState.RETIRED
    first.save(update_fields=["state"])
    with pytest.raises(GateRefused, match="approved versions only"):
        roll_back(slot, dan)
    slot.refresh_from_db()
    assert slot.current_version != first


def test_what_has_been_rebound_since_the_preview_is_not_rolled_back(slot, rita, dan, second):
    bound(slot, make.approved(), actor=rita)
    with pytest.raises(Conflict, match="by now"):
        roll_back(slot, dan, leaving=second)


def test_who_may_not_roll_back_changes_nothing(slot, tenant):
    mallory = make.user("mallory", member_of=tenant)
    make.grant(mallory, tenant, *set(Right) - {Right.ROLL_BACK_RELEASE})
    with pytest.raises(NotAllowed):
        roll_back(slot, mallory)
    nearly = make.user("nearly", member_of=tenant)
    make.grant(nearly, slot.environment, Right.ROLL_BACK_RELEASE)
    with pytest.raises(NotAllowed):
        roll_back(slot, nearly, also=[make.slot(environment=make.environment("staging"))])


def test_a_canary_beside_the_version_left_is_taken_out_too(slot, rita, dan, first, second):
    third = make.approved(template=first.template)
    running(slot, second, 4)
    rollout = started(slot, third, rita, strategy="canary", percents=[50, 100])
    made = roll_back(slot, dan)
    rollout.refresh_from_db()
    slot.refresh_from_db()
    assert rollout.state == "aborted" and made.dossier["rollouts_aborted"] == [rollout.typeid]
    assert (slot.current_version, slot.canary_version, slot.canary_share) == (first, None, 0)
    assert states(slot, third) == ["retired"] * 2
    assert states(slot, second) == ["draining"] * 4 and states(slot, first) == ["provisioning"] * 4


def test_rollouts_of_the_version_left_elsewhere_are_told_by_preview_record_and_dossier(
    slot, rita, dan, first, second
):
    """They pause at their next binding, which a deprecated version is refused. What this rollback ends is not among them."""
    running(slot, second, 1)
    far = bound(
        make.slot(role=slot.role, environment=slot.environment, provider=make.provider("far")),
        first,
        actor=rita,
    )
    running(far, first, 2)
    rollout = started(far, second, rita, strategy="canary", percents=[50, 100])
    assert queries.rollback_preview(slot, dan).rollouts_elsewhere == 1
    made = roll_back(slot, dan)
    record = ChangeRecord.objects.get(verb="registry.slot.rolled_back")
    assert made.dossier["rollouts_elsewhere"] == record.after["rollouts_elsewhere"] == [rollout.typeid]
    rollout.refresh_from_db()
    assert rollout.state == "running" and made.dossier["rollouts_aborted"] == []


def test_rolling_back_what_a_rollout_has_bound_goes_one_version_back_not_two(slot, rita, dan, second, first):
    third = make.approved(template=first.template)
    running(slot, second, 2)
    rollout = started(slot, third, rita)
    made = roll_back(slot, dan)
    rollout.refresh_from_db()
    slot.refresh_from_db()
    assert (made.to_version, slot.current_version, rollout.state) == (second, second, "aborted")
    assert not rollout.slots.filter(held=True).exists()


# what it lacks by now


@pytest.fixture
def lapsed(settings, slot):
    """The role asks by now for a certification that nobody holds, and production for a card."""
    settings.BINDING_GATES = [
        "registry.gates.VersionMayBeBound",
        "registry.gates.GenomeIntact",
        "registry.plugins.ChannelOrder",
        "registry.plugins.EvidenceVerified",
        "registry.fitness.FitsItsRole",
    ]
    slot.role.certifications = ["pci"]
    slot.role.save(update_fields=["certifications"])
    DirectoryRules.objects.create(tenant=slot.tenant, verified_evidence=True)
    return slot


def test_a_certification_that_ran_out_warns_and_holds_no_rollback_up(lapsed, dan, first):
    made = roll_back(lapsed, dan)
    assert made.to_version == first
    warned = {one["gate"]: one["reason"] for one in made.dossier["warnings"]}
    assert set(warned) == {"fit for the role", "evidence verified"}
    assert "pci is missing" in warned["fit for the role"]
    record = ChangeRecord.objects.get(verb="registry.slot.rolled_back")
    assert record.after["warnings"] == made.dossier["warnings"]


def test_what_it_lacks_holds_no_replacement_up_either(lapsed, dan, first, settings):
    settings.ACTIVATION_GATES = ["registry.fitness.InstanceFitsItsRole"]
    at_work = make.instance(
        version=lapsed.current_version,
        slot=lapsed,
        role=lapsed.role,
        environment=lapsed.environment,
        provider=lapsed.provider,
    )
    roll_back(lapsed, dan)
    replacement = AgentInstance.objects.get(slot=lapsed, version=first, state="provisioning")
    assert replacement.role == at_work.role
    (verdict,) = for_activation(replacement)
    assert verdict.passed and verdict.warning and "pci is missing" in verdict.reason
    apart = make.instance(
        version=first,
        role=lapsed.role,
        environment=lapsed.environment,
        provider=lapsed.provider,
        state="provisioning",
    )
    (verdict,) = for_activation(apart)
    assert not verdict.passed  # nothing brought the slot back for this one


def test_the_preview_says_what_warns_and_what_refuses(lapsed, dan, first):
    shown = queries.rollback_preview(lapsed, dan)
    assert {one.gate for one in shown.warnings} == {"fit for the role", "evidence verified"}
    assert not shown.missing
    type(first).objects.filter(pk=first.pk).update(state=VersionState.RETIRED)
    lapsed.refresh_from_db()
    shown = queries.rollback_preview(lapsed, dan)
    assert {one.gate for one in shown.missing} == {"version may run"}


def test_a_rollback_that_lacks_nothing_warns_of_nothing(slot, dan):
    assert roll_back(slot, dan).dossier["warnings"] == []
    assert "warnings" not in ChangeRecord.objects.get(verb="registry.slot.rolled_back").after


def test_a_rollback_where_no_policy_would_hold_is_refused(slot, dan, settings):
    settings.BINDING_GATES = ["policy.plugins.SlotHasPolicy"]
    with pytest.raises(GateRefused, match="No policy would hold"):
        roll_back(slot, dan)


def test_an_abort_is_not_asked_and_says_the_same_warnings(lapsed, rita, second, first, settings):
    third = make.approved(template=first.template)
    asked, settings.BINDING_GATES = settings.BINDING_GATES, []
    rollout = started(lapsed, third, rita, health_gates=["errors"])
    settings.BINDING_GATES = asked
    services.abort_rollout(rollout=rollout, actor=rita, reason="It lies")
    lapsed.refresh_from_db()
    assert lapsed.current_version == second
    told = ChangeRecord.objects.get(verb="registry.slot.returned").after["warnings"]
    assert {one["gate"] for one in told} == {"fit for the role", "evidence verified"}


def test_the_page_shows_the_warnings_before_and_after(lapsed, dan, client):
    client.force_login(dan)
    page = client.get(f"{lapsed.get_absolute_url()}roll-back/")
    assert "Certification pci is missing on this genome." in page.text
    assert "does not hold a rollback up" in page.text
    made = roll_back(lapsed, dan)
    assert "Certification pci is missing on this genome." in client.get(made.get_absolute_url()).text
