"""Nobody reads that an instance is held back before it was proven, and of a restriction that is told to nobody people hear."""

from datetime import timedelta

import pytest

from arm import clock
from arm.models import Tenant
from federation import services
from federation.models import Command
from policy import services as policy
from policy.engine import Mode
from registry import queries
from registry import services as registry
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus
from telemetry.models import Incident

from .provider import CAPABILITIES, Adapter, newest, settled

pytestmark = pytest.mark.django_db
CANNOT_QUARANTINE = [name for name in CAPABILITIES if name != "state.quarantine"]


@pytest.fixture
def cloud() -> Adapter:
    return settled()


def want(cloud: Adapter, to: InstanceState) -> Command:
    """As after a person's verb, whoever may do it."""
    AgentInstance.objects.filter(pk=cloud.one.pk).update(state=to)
    services.decide(instances=[cloud.one.pk], actor=None, reason_code="wanted")
    return newest(cloud.one)


def quarantine(cloud: Adapter) -> Command:
    to = InstanceState.QUARANTINED
    registry.restrict_instance(instance=cloud.one, to=to, actor=cloud.inviter, reason="It misbehaves.")
    return newest(cloud.one)


def shown(cloud: Adapter) -> tuple[str, str]:
    rows = AgentInstance.objects.for_list().filter(pk=cloud.one.pk)
    ((row, _),) = queries.with_staleness(rows)
    return row.status.state, row.certainty


def test_a_second_quarantine_is_not_shown_by_the_proof_of_the_first(cloud):
    assert cloud.prove(quarantine(cloud)).json()["ok"]
    assert shown(cloud) == ("quarantined", "attested")
    want(cloud, InstanceState.ACTIVE)
    assert shown(cloud)[0] == ""
    again = want(cloud, InstanceState.QUARANTINED)
    assert shown(cloud)[0] == "", "its proof was of an earlier wish"
    cloud.runs(cloud.one, "Quarantined", again.generation)
    cloud.heartbeat(cloud.one)
    assert shown(cloud) == ("", "reported")
    cloud.prove(again)
    assert shown(cloud) == ("quarantined", "attested")


def test_what_is_lifted_is_not_at_work_until_its_provider_says_so(cloud):
    pause = policy.set_posture(scope=cloud.one, mode=Mode.PAUSED, actor=cloud.inviter, reason="A while.")
    cloud.prove(newest(cloud.one))
    policy.lift_posture(posture=pause, actor=cloud.inviter, reason="Done.")
    assert shown(cloud)[0] == ""
    cloud.runs(cloud.one, "Active", newest(cloud.one).generation)
    cloud.heartbeat(cloud.one)
    assert shown(cloud) == ("active", "reported")


def test_a_stop_that_is_not_proven_is_named_beside_the_state(cloud):
    policy.set_posture(scope=cloud.provider, mode=Mode.QUARANTINED, actor=cloud.inviter, reason="Breach.")
    assert shown(cloud) == ("active", "Quarantined by a stop, not proven")
    cloud.prove(newest(cloud.one))
    assert shown(cloud) == ("active", "Quarantined by a stop, attested")


def test_a_quarantine_below_a_stop_that_was_proven_is_shown_at_once(cloud):
    policy.set_posture(scope=cloud.provider, mode=Mode.QUARANTINED, actor=cloud.inviter, reason="Breach.")
    proven = newest(cloud.one)
    cloud.prove(proven)
    assert quarantine(cloud) == proven, "the document is the same"
    assert shown(cloud) == ("quarantined", "attested")


# --- restrictions that nobody would hear of


def overdue() -> int:
    with clock.at(clock.now() + timedelta(seconds=61)):
        return sum(services.sweep_overdue(tenant_id=row.pk) for row in Tenant.objects.all())


def test_a_quarantine_that_is_given_again_is_a_restriction_still(cloud):
    first = quarantine(cloud)
    cloud.prove(first)
    cloud.runs(cloud.one, "Active", first.generation)
    cloud.heartbeat(cloud.one)
    again = newest(cloud.one)
    assert again.restrictive and again != first
    assert overdue() == 1


def test_a_stop_of_equal_severity_takes_the_place_of_an_open_one_as_a_restriction(cloud):
    first = quarantine(cloud)
    services.decide(instances=[cloud.one.pk], actor=None, reason_code="version", again=True)
    first.refresh_from_db()
    assert first.state == "superseded" and newest(cloud.one).restrictive
    assert overdue() == 1


def test_what_is_proven_at_this_severity_is_restricted_no_further(cloud):
    cloud.prove(quarantine(cloud))
    assert not want(cloud, InstanceState.PAUSED).restrictive
    assert want(cloud, InstanceState.QUARANTINED).restrictive


def test_a_client_that_is_revoked_with_an_open_quarantine_opens_an_incident(cloud):
    command = quarantine(cloud)
    services.revoke_client(client=cloud.client, actor=cloud.approver, reason="Its key leaked.")
    assert Incident.objects.get().facts["command"] == command.typeid


def test_a_stop_at_a_provider_for_whom_nobody_speaks_opens_an_incident(cloud):
    services.revoke_client(client=cloud.client, actor=cloud.approver, reason="Its key leaked.")
    assert not Incident.objects.exists()
    quarantine(cloud)
    assert "told to nobody" in Incident.objects.get().title
    assert shown(cloud)[0] == "active"


def test_a_provision_and_a_release_without_a_client_open_none(cloud):
    services.revoke_client(client=cloud.client, actor=cloud.approver, reason="Its key leaked.")
    for state in (InstanceState.PROVISIONING, InstanceState.ACTIVE):
        AgentInstance.objects.filter(pk=cloud.one.pk).update(state=state)
        services.decide(instances=[cloud.one.pk], actor=None, reason_code="wanted")
    assert not Incident.objects.exists()


def test_what_could_not_be_told_is_told_when_the_adapter_can(cloud):
    cloud.handshake(capabilities=CANNOT_QUARANTINE)
    dead = quarantine(cloud)
    cloud.handshake(capabilities=CANNOT_QUARANTINE)
    assert (dead.state, newest(cloud.one)) == ("undeliverable", dead)
    cloud.handshake()
    told = newest(cloud.one)
    assert (told.state, told.to_state, told.restrictive) == ("available", "Quarantined", True)
    cloud.handshake()
    assert newest(cloud.one) == told
    assert InstanceStatus.objects.get(instance=cloud.one).state == "active"
