"""Who may stop an instance, who may let it go again, and what stands in the way."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from arm import changes, clock
from arm.errors import Conflict, Invalid, NotAllowed
from arm.models import ApiKey, ChangeRecord
from arm.rights import Right
from registry import services
from registry.gates import GateRefused, Verdict
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, InstanceInterval, InstanceStatus, KeyScope
from tests import make

pytestmark = pytest.mark.django_db
S = InstanceState
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def alice(tenant):
    """A fleet operator."""
    return person("alice", tenant, Right.RESTRICT_INSTANCE, Right.RELEASE_INSTANCE, Right.PROVISION_INSTANCE)


@pytest.fixture
def bob(tenant):
    return person("bob", tenant, Right.APPROVE_RELEASE)


@pytest.fixture
def carol(tenant):
    return person("carol", tenant, Right.APPROVE_RELEASE, Right.RESTRICT_INSTANCE, Right.RELEASE_INSTANCE)


@pytest.fixture
def mallory(tenant):
    return make.user("mallory", member_of=tenant)


@pytest.fixture
def instance(tenant, alice):
    row = make.instance()
    InstanceStatus.objects.filter(instance=row).update(telemetry_at=clock.now() - timedelta(hours=1))
    return row


def person(name, tenant, *rights):
    user = make.user(name, member_of=tenant)
    make.grant(user, tenant, *rights)
    return user


def move(instance, to, actor, reason="because"):
    return services.move_instance(instance=instance, to=to, actor=actor, reason=reason)


def restrict(instance, to, actor, reason="odd behaviour"):
    return services.restrict_instance(instance=instance, to=to, actor=actor, reason=reason)


class Agreed:
    """Stands where the policy app's approvals stand: two people have agreed to exactly one action."""

    people: frozenset[UUID] = frozenset()
    asked_by: frozenset[UUID] = frozenset()
    action: dict[str, object] | None = None
    used = False

    def granted(self, *, subject_kind, subject_id, action):
        return self.people if action == self.action and not Agreed.used else frozenset()

    def requested(self, *, subject_kind, subject_id, action):
        return self.asked_by

    def consume(self, *, subject_kind, subject_id, action):
        Agreed.used = True

    def request(self, **request):
        Agreed.asked = request
        return UUID(int=7)


@pytest.fixture
def approvals(settings):
    settings.APPROVALS = f"{__name__}.Agreed"
    Agreed.people = Agreed.asked_by = frozenset()
    Agreed.action, Agreed.used = None, False
    return Agreed


def agree(approvals, instance, to, *people):
    approvals.people = frozenset(person.pk for person in people)
    approvals.action = {
        "verb": "registry.instance.release",
        "instance": instance.typeid,
        "to": to,
        "generation": instance.generation,
    }


# restrict


def test_one_operator_stops_an_instance_at_once_and_it_is_recorded(instance, alice, queued, settings):
    settings.SUBSCRIBERS = {"registry.instance.moved": ["arm.tasks.beat_worker"]}
    stopped = restrict(instance, S.QUARANTINED, alice)
    assert (stopped.state, stopped.generation, stopped.restricted_by_id) == (S.QUARANTINED, 2, alice.pk)
    record = ChangeRecord.objects.get(verb="registry.instance.restricted")
    assert (record.before["state"], record.after["state"]) == ("active", "quarantined")
    assert (record.actor_id, record.reason) == (alice.pk, "odd behaviour")
    assert queued() == ["arm.tasks.beat_worker"]


def test_a_rule_of_arm_stops_without_a_person(instance):
    restrict(instance, S.READ_ONLY, None, "daily cap reached")
    record = ChangeRecord.objects.get(verb="registry.instance.restricted")
    assert (record.actor_id, record.actor_label) == (None, "ARM")


def test_stopping_twice_is_one_stop(instance, alice):
    restrict(instance, S.PAUSED, alice)
    again = restrict(instance, S.PAUSED, alice)
    assert (
        again.generation == 2
        and ChangeRecord.objects.filter(verb="registry.instance.restricted").count() == 1
    )


def test_a_restriction_never_loosens(instance, alice):
    restrict(instance, S.PAUSED, alice)
    with pytest.raises(Conflict, match="would not restrict"):
        restrict(instance, S.READ_ONLY, alice)
    with pytest.raises(Conflict, match="would not restrict"):
        restrict(instance, S.ACTIVE, None)


def test_without_the_right_or_a_reason_nothing_happens(instance, alice, mallory):
    with pytest.raises(NotAllowed):
        restrict(instance, S.PAUSED, mallory)
    with pytest.raises(Invalid) as refused:
        restrict(instance, S.PAUSED, alice, "  ")
    assert refused.value.errors[0]["pointer"] == "/reason"
    instance.refresh_from_db()
    assert instance.state == S.ACTIVE and not ChangeRecord.objects.exists()


def test_a_right_on_another_agent_does_not_count(instance):
    dave = make.user("dave", member_of=instance.tenant)
    make.grant(dave, make.template(), Right.RESTRICT_INSTANCE)
    with pytest.raises(NotAllowed):
        restrict(instance, S.PAUSED, dave)
    make.grant(dave, instance.environment, Right.RESTRICT_INSTANCE)
    assert restrict(instance, S.PAUSED, dave).state == S.PAUSED


def test_every_state_has_its_interval(instance, alice):
    InstanceInterval.objects.filter(instance=instance).update(until=None)
    with clock.at(datetime(2030, 1, 1, tzinfo=UTC)):
        restrict(instance, S.PAUSED, alice)
    with clock.at(datetime(2030, 1, 2, tzinfo=UTC)):
        move(instance, S.ACTIVE, alice)
    held = list(
        InstanceInterval.objects.filter(instance=instance).order_by("since").values_list("state", "until")
    )
    assert held == [
        ("active", datetime(2030, 1, 1, tzinfo=UTC)),
        ("paused", datetime(2030, 1, 2, tzinfo=UTC)),
        ("active", None),
    ]


# release


def test_an_operator_lifts_a_pause_and_cancels_a_drain(instance, alice):
    for stop in (S.PAUSED, S.DRAINING):
        restrict(instance, stop, alice)
        assert move(instance, S.ACTIVE, alice).state == S.ACTIVE
    assert ChangeRecord.objects.filter(verb="registry.instance.released").count() == 2


def test_read_only_is_lifted_by_an_approver_who_did_not_stop_it(instance, alice, bob, carol):
    restrict(instance, S.READ_ONLY, carol)
    for actor in (alice, carol):  # no approver; an approver, but she stopped it
        with pytest.raises(services.ApprovalNeeded) as refused:
            move(instance, S.ACTIVE, actor)
        assert (refused.value.extra["needs"], refused.value.extra["have"]) == (1, 0)
    assert move(instance, S.ACTIVE, bob).state == S.ACTIVE


def test_what_a_rule_has_set_read_only_needs_an_approver_too(instance, alice, carol):
    restrict(instance, S.READ_ONLY, None)
    with pytest.raises(services.ApprovalNeeded):
        move(instance, S.ACTIVE, alice)
    assert move(instance, S.ACTIVE, carol).state == S.ACTIVE


def test_pausing_what_is_read_only_is_no_way_round_the_approver(instance, alice, bob):
    restrict(instance, S.READ_ONLY, alice)
    restrict(instance, S.PAUSED, alice)
    with pytest.raises(services.ApprovalNeeded):
        move(instance, S.ACTIVE, alice)
    assert move(instance, S.ACTIVE, bob).state == S.ACTIVE
    restrict(instance, S.PAUSED, alice)
    assert move(instance, S.ACTIVE, alice).state == S.ACTIVE  # what was lifted before counts no more


def test_two_who_took_no_part_lift_a_quarantine(instance, alice, bob, carol, approvals):
    restrict(instance, S.QUARANTINED, alice)
    instance.refresh_from_db()
    with pytest.raises(services.ApprovalNeeded) as refused:
        move(instance, S.READ_ONLY, bob)
    assert (refused.value.extra["needs"], refused.value.extra["have"]) == (2, 1)

    agree(approvals, instance, "read_only", alice, bob)
    with pytest.raises(services.ApprovalNeeded):
        move(instance, S.READ_ONLY, alice)  # her own vote does not count

    agree(approvals, instance, "read_only", bob, carol)
    released = move(instance, S.READ_ONLY, alice, "reviewed")
    record = ChangeRecord.objects.get(verb="registry.instance.released")
    assert released.state == S.READ_ONLY
    assert record.after["approved_by"] == sorted([str(bob.pk), str(carol.pk)])


def test_a_token_is_no_second_person_whoever_it_acts_as(instance, alice, bob, carol, erin, approvals):
    restrict(instance, S.QUARANTINED, alice)
    instance.refresh_from_db()
    agree(approvals, instance, S.READ_ONLY, bob)
    credential = changes.credential.set("key_01h455vb4pex5vsknk084sn02q")
    try:
        with pytest.raises(NotAllowed, match="A token cannot release this"):
            move(instance, S.READ_ONLY, carol)
        with pytest.raises(NotAllowed, match="A token cannot confirm this"):
            move(instance, S.RETIRED, erin)
    finally:
        changes.credential.reset(credential)
    assert move(instance, S.READ_ONLY, carol).state == S.READ_ONLY


def test_an_approval_is_for_one_exact_release_and_counts_once(instance, alice, bob, carol, approvals):
    restrict(instance, S.QUARANTINED, alice)
    instance.refresh_from_db()
    agree(approvals, instance, "read_only", bob, carol)
    with pytest.raises(services.ApprovalNeeded):
        move(instance, S.ACTIVE, alice)
    move(instance, S.READ_ONLY, alice)
    restrict(instance, S.QUARANTINED, alice)
    with pytest.raises(services.ApprovalNeeded):
        move(instance, S.READ_ONLY, alice)


def test_who_asks_for_a_release_does_not_approve_it(instance, alice, bob, carol, approvals):
    restrict(instance, S.READ_ONLY, alice)
    approvals.asked_by = frozenset({bob.pk})
    with pytest.raises(services.ApprovalNeeded):
        move(instance, S.ACTIVE, bob)
    assert move(instance, S.ACTIVE, carol).state == S.ACTIVE


def test_a_request_for_release_says_how_many_and_who_does_not_count(instance, alice, approvals):
    restrict(instance, S.QUARANTINED, alice)
    asked = services.request_instance_release(instance=instance, to=S.ACTIVE, actor=alice, reason="checked")
    assert asked == UUID(int=7)
    assert (approvals.asked["needs"], approvals.asked["excluded"]) == (2, {alice.pk})
    assert approvals.asked["action"]["generation"] == 2
    assert ChangeRecord.objects.filter(verb="registry.instance.release_requested").count() == 1


def test_a_pause_needs_no_request(instance, alice):
    restrict(instance, S.PAUSED, alice)
    with pytest.raises(Conflict, match="no request is needed"):
        services.request_instance_release(instance=instance, to=S.ACTIVE, actor=alice, reason="checked")


def test_a_tenant_of_one_person_works_and_the_record_says_so(instance, alice):
    make.grant(alice, instance.tenant, Right.APPROVE_RELEASE)
    restrict(instance, S.QUARANTINED, alice)
    move(instance, S.ACTIVE, alice)
    assert ChangeRecord.objects.get(verb="registry.instance.released").after["sod_mode"] == "reduced"


def test_nothing_becomes_active_past_the_activation_gates(instance, alice, settings):
    settings.ACTIVATION_GATES = [f"{__name__}.Closed"]
    restrict(instance, S.PAUSED, alice)
    with pytest.raises(GateRefused, match="No policy is bound"):
        move(instance, S.ACTIVE, alice)


class Closed:
    name = "closed"

    def check(self, instance):
        return Verdict(self.name, False, "No policy is bound.")


# activate


@pytest.fixture
def newcomer(tenant, alice):
    version = make.version(state=VersionState.CANDIDATE)
    return services.provision_instance(
        version=version,
        environment=make.environment("prod", name="Production"),
        provider=make.provider(),
        name="invoices-1",
        actor=alice,
        reason="first of its kind",
    )


def test_a_provisioned_instance_stays_until_nothing_is_missing_and_hears_it_all_at_once(
    newcomer, alice, settings
):
    settings.ACTIVATION_GATES = [*settings.ACTIVATION_GATES, f"{__name__}.Closed"]
    assert newcomer.state == S.PROVISIONING
    with pytest.raises(GateRefused) as refused:
        move(newcomer, S.ACTIVE, alice)
    assert [gate["gate"] for gate in refused.value.extra["gates"]] == [
        "version may run",
        "telemetry linked",
        "closed",
    ]
    assert (
        "approved versions only" in refused.value.message and "No linked telemetry" in refused.value.message
    )
    newcomer.refresh_from_db()
    assert newcomer.state == S.PROVISIONING and newcomer.generation == 1


def test_it_goes_active_when_everything_is_there(newcomer, alice):
    newcomer.version.state = VersionState.APPROVED
    newcomer.version.save()
    InstanceStatus.objects.filter(instance=newcomer).update(telemetry_at=clock.now())
    assert move(newcomer, S.ACTIVE, alice).state == S.ACTIVE


def test_outside_production_a_version_in_testing_may_run_and_a_draft_may_not(tenant, alice, newcomer):
    newcomer.environment.production = False
    newcomer.environment.save()
    InstanceStatus.objects.filter(instance=newcomer).update(telemetry_at=clock.now())
    newcomer.version.state = VersionState.DRAFT
    newcomer.version.save()
    with pytest.raises(GateRefused, match="may not run"):
        move(newcomer, S.ACTIVE, alice)
    newcomer.version.state = VersionState.TESTING
    newcomer.version.save()
    assert move(newcomer, S.ACTIVE, alice).state == S.ACTIVE


def test_provisioning_needs_the_right_on_what_it_will_stand_below(tenant, mallory):
    version, place, at = make.approved(), make.environment("dev"), make.provider()

    def provision():
        return services.provision_instance(
            version=version, environment=place, provider=at, name="x", actor=mallory, reason="try"
        )

    with pytest.raises(NotAllowed):
        provision()
    make.grant(mallory, place, Right.PROVISION_INSTANCE)
    assert provision().typeid.startswith("ins_")


def test_nothing_new_is_provisioned_from_a_deprecated_version(tenant, alice):
    with pytest.raises(Conflict, match="Deprecated"):
        services.provision_instance(
            version=make.version(state=VersionState.DEPRECATED),
            environment=make.environment("dev"),
            provider=make.provider(),
            name="x",
            actor=alice,
            reason="try",
        )


# retire


@pytest.fixture
def erin(tenant):
    return person("erin", tenant, Right.TERMINATE_INSTANCE, Right.RESTRICT_INSTANCE)


def test_an_active_instance_is_not_retired_in_one_step(instance, erin):
    with pytest.raises(Conflict, match="cannot become Retired"):
        move(instance, S.RETIRED, erin)


def test_a_second_person_retires_what_was_quarantined_and_its_keys_end(instance, alice, erin):
    make.workload_token(instance)
    restrict(instance, S.QUARANTINED, alice)
    assert move(instance, S.RETIRED, erin).state == S.RETIRED
    assert KeyScope.objects.get(instance=instance).key.revoked_at is not None
    assert ApiKey.objects.filter(revoked_at=None).count() == 0


def test_who_quarantined_waits_a_day_before_retiring_alone(instance, erin):
    make.user("someone else", member_of=instance.tenant)
    with clock.at(NOON):
        restrict(instance, S.QUARANTINED, erin)
    with clock.at(NOON + timedelta(hours=23)), pytest.raises(NotAllowed, match="another person"):
        move(instance, S.RETIRED, erin)
    with clock.at(NOON + timedelta(hours=24)):
        assert move(instance, S.RETIRED, erin).state == S.RETIRED


def test_a_draining_instance_is_retired_when_it_has_fallen_silent(instance, alice):
    restrict(instance, S.DRAINING, alice)
    InstanceStatus.objects.filter(instance=instance).update(telemetry_at=clock.now())
    with pytest.raises(GateRefused, match="still be at work"):
        move(instance, S.RETIRED, alice)
    InstanceStatus.objects.filter(instance=instance).update(telemetry_at=clock.now() - timedelta(minutes=2))
    assert move(instance, S.RETIRED, alice).state == S.RETIRED


# heartbeat


def test_a_heartbeat_is_what_the_instance_says_and_changes_no_order(instance):
    with clock.at(NOON):
        told = services.heartbeat(instance=instance, state="paused", generation=4)
    assert (told.status.state, told.status.generation, told.status.heartbeat_at) == ("paused", 4, NOON)
    assert (told.state, told.generation) == (S.ACTIVE, 1)
    assert not ChangeRecord.objects.exists()


def test_a_bare_heartbeat_keeps_what_was_reported_before(instance):
    services.heartbeat(instance=instance, state="active", generation=1)
    services.heartbeat(instance=instance)
    assert AgentInstance.objects.get().status.state == "active"


def test_an_unknown_state_is_refused(instance):
    with pytest.raises(Invalid, match="Must be one of"):
        services.heartbeat(instance=instance, state="happy")
