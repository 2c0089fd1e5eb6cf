"""Where releases, lifecycles, evidence and spawning meet: none of them undoes what another holds."""

from datetime import timedelta

import pytest

from arm import clock
from arm.errors import NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from evidence.models import SigningKey
from registry import services
from registry.gates import CHANNEL_ORDER, EVIDENCE_VERIFIED, GateRefused
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, DirectoryRules, ReleaseException
from telemetry.models import Incident
from tests import make
from tests.registry.releasing import Told, bound, planned, running, started, states

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=11)


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture(autouse=True)
def plugged(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True})


@pytest.fixture
def rita(acme):
    return make.hired("rita", "release_manager", acme)


@pytest.fixture
def old(acme):
    return make.approved()


@pytest.fixture
def slot(rita, old):
    place = make.environment("prod", name="Production")
    return bound(make.slot(environment=place, role=make.role("clerk")), old, actor=rita)


def canary(slot, version, rita):
    return started(slot, version, rita, strategy="canary", percents=[10, 50, 100], health_gates=["errors"])


def sweep(rollout, after=LATER):
    with clock.at(clock.now() + after):
        services.advance_rollout(rollout_id=rollout.pk)
    rollout.refresh_from_db()


def share(slot):
    slot.refresh_from_db()
    return slot.canary_version, slot.canary_share


# aborting


def test_aborting_what_never_began_leaves_the_canary_of_another_alone(slot, rita, old, new):
    running(slot, old, 10)
    second = planned(slot, new, rita)
    first = canary(slot, new, rita)
    services.abort_rollout(rollout=second, actor=rita, reason="Not needed")
    assert share(slot) == (new, 10)
    assert states(slot, new) == ["provisioning"]
    first.refresh_from_db()
    assert first.state == "running"
    told = ChangeRecord.objects.about(second).get(verb="registry.rollout.aborted")
    assert told.after["returned"] == []


def test_an_abort_back_to_what_is_no_longer_approved_opens_an_incident(slot, rita, old, new):
    rollout = started(slot, new, rita, health_gates=["errors"])
    type(old).objects.filter(pk=old.pk).update(state=VersionState.DEPRECATED)
    services.abort_rollout(rollout=rollout, actor=rita, reason="It lies")
    slot.refresh_from_db()
    assert slot.current_version == old
    incident = Incident.objects.get()
    assert (incident.version, incident.harm) == (old, False), "the new one is not what is wrong"
    assert "Deprecated" in str(incident.facts["slots"])


def test_what_an_abort_would_return_to_is_not_retired(slot, rita, old, new):
    started(slot, new, rita, health_gates=["errors"])
    type(old).objects.filter(pk=old.pk).update(state=VersionState.DEPRECATED)
    old.refresh_from_db()
    admin = make.everything(make.user("judy", member_of=slot.tenant), slot.tenant)
    with pytest.raises(GateRefused) as refused:
        services.move_version(version=old, to=VersionState.RETIRED, actor=admin, reason="old")
    assert "nothing runs it" in {gate["gate"] for gate in refused.value.extra["gates"] if not gate["passed"]}


# what was fit when it began


def test_a_canary_that_was_deprecated_on_its_way_gets_no_larger_share(slot, rita, old, new):
    running(slot, old, 10)
    rollout = canary(slot, new, rita)
    type(new).objects.filter(pk=new.pk).update(state=VersionState.DEPRECATED)
    sweep(rollout)
    assert rollout.state == "paused"
    assert share(slot) == (new, 10)
    assert states(slot, new) == ["provisioning"]


def test_what_runs_as_a_canary_is_not_drained_as_if_it_were_left_behind(slot, rita, old, new):
    running(slot, old, 10)
    canary(slot, new, rita)
    AgentInstance.objects.filter(slot=slot, version=new).update(state=InstanceState.ACTIVE)
    type(new).objects.filter(pk=new.pk).update(state=VersionState.DEPRECATED)
    assert services.drain_left(slots=type(slot).objects.filter(pk=slot.pk)) == 0
    assert states(slot, new) == ["active"]


@pytest.mark.parametrize("way", ["planned", "canary", "from", "assigned", "later"])
def test_a_version_that_something_waits_for_is_not_superseded(slot, rita, acme, way):
    agent = slot.current_version.template
    waits = make.approved(template=agent)
    if way == "planned":
        planned(slot, waits, rita)
    elif way == "canary":
        canary(slot, waits, rita)
    elif way == "assigned":
        make.role_assignment(version=waits, environment=slot.environment)
    newest = make.approved(template=agent)
    if way == "from":
        started(slot, newest, rita, health_gates=["errors"])
        type(slot).objects.filter(pk=slot.pk).update(previous_version=None)
        waits = slot.current_version
    elif way == "later":  # approved after the one with the greater number
        type(waits).objects.filter(pk=waits.pk).update(state_since=newest.state_since + timedelta(hours=1))
    superseded = services.supersede(tenant_id=acme.pk, template_id=agent.pk)
    assert waits not in superseded
    waits.refresh_from_db()
    assert waits.state == VersionState.APPROVED


# exceptions


def test_an_exception_that_a_later_step_needs_is_spent_and_named(slot, rita, acme, old, new):
    rollout = canary(slot, new, rita)
    make.environment("early", name="Early", position=0)  # from now on the channel before it is asked for
    slot.environment.refresh_from_db()
    erin = make.hired("erin", "approver", acme)
    granted = services.grant_exception(
        slot=slot, version=new, gate=CHANNEL_ORDER, until=clock.now() + timedelta(days=1), actor=erin, reason="ok"
    )  # fmt: skip
    sweep(rollout)
    assert share(slot) == (new, 50)
    granted.refresh_from_db()
    assert granted.used_at is not None
    told = ChangeRecord.objects.filter(verb="registry.slot.canary_set").latest("at")
    assert granted.typeid in told.links


def test_who_let_a_rollout_go_on_does_not_except_it_as_well(slot, rita, acme, old, new):
    make.user("erin", member_of=acme)  # others could
    make.hired("dan", "approver", acme)
    make.grant(rita, acme, Right.APPROVE_RELEASE)
    rollout = canary(slot, new, rita)
    make.environment("early", name="Early", position=0)
    ReleaseException.objects.create(
        tenant=acme, slot=slot, version=new, gate=CHANNEL_ORDER, until=clock.now() + timedelta(days=1),
        granted_by=rita, reason="mine",
    )  # fmt: skip
    sweep(rollout)
    assert rollout.state == "paused"
    assert share(slot) == (new, 10)


# rolling back


def test_a_rollback_takes_no_slot_back_that_the_person_may_not_roll_back(slot, rita, acme, old, new):
    there = make.provider("elsewhere")
    other = bound(make.slot(environment=slot.environment, role=slot.role, provider=there), old, actor=rita)
    started([slot, other], new, rita, health_gates=["errors"])
    dan = make.user("dan", member_of=acme)
    make.grant(dan, slot.provider, Right.ROLL_BACK_RELEASE)
    make.grant(dan, acme, Right.READ_DIRECTORY)
    with pytest.raises(NotAllowed):
        services.roll_back_slot(slot=slot, actor=dan, reason="It lies")
    for one in (slot, other):
        one.refresh_from_db()
        assert one.current_version == new


def test_another_slot_that_keeps_a_rolled_back_version_has_a_due_date(slot, rita, old, new):
    other = bound(make.slot(environment=slot.environment, role=slot.role), old, new, actor=rita)
    bound(slot, new, actor=rita)
    services.roll_back_slot(slot=slot, actor=rita, reason="It lies")
    new.refresh_from_db()
    assert (new.state, new.rolled_back) == (VersionState.DEPRECATED, True)
    assert new.rebind_by is not None
    with clock.at(new.rebind_by + timedelta(minutes=1)):
        assert services.tell_overdue(tenant_id=slot.tenant_id) == 1
    assert str(other) in str(Incident.objects.latest("opened_at").facts["slots"])


def test_a_rolled_back_version_is_bound_nowhere_not_even_in_the_first_channel(rita, acme, old):
    tried = make.version(template=old.template, state=VersionState.TESTING)
    slot = bound(make.slot(environment=make.environment("dev", production=False)), old, tried, actor=rita)
    services.roll_back_slot(slot=slot, actor=rita, reason="It lies")
    with pytest.raises(GateRefused, match="rolled back") as refused:
        services.bind_slot(slot=slot, version=tried, actor=rita, reason="again")
    assert refused.value.extra["gates"]


# evidence


def test_a_missing_card_is_named_by_one_gate_where_the_tenant_asks_for_evidence(
    slot, rita, acme, old, new, settings
):
    settings.BINDING_GATES = ["registry.plugins.EvidenceVerified", "registry.fitness.FitsItsRole"]
    settings.ROLE_GATES = ["registry.fitness.EvidenceVerified"]
    DirectoryRules.objects.create(tenant=acme, verified_evidence=True)
    assert not SigningKey.objects.exists()
    with pytest.raises(GateRefused) as refused:
        services.bind_slot(slot=slot, version=new, actor=rita, reason="go")
    failing = {gate["gate"] for gate in refused.value.extra["gates"] if not gate["passed"]}
    assert failing == {EVIDENCE_VERIFIED}
