"""Two at once: no event is held by two pollers, no assertion counts twice, and of stops and proofs none is lost."""

from datetime import timedelta
from time import sleep

import pytest

from arm import clock
from federation import services
from federation.models import AccessToken, AdapterSession, Command, Desired, InstanceReport
from federation.protocol.refusals import Refused
from federation.services import delivery, reports
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus, Observation
from registry.services import restrict_instance
from tests import make
from tests.at_once import at_once

from .provider import HOST, Adapter, newest

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def cloud() -> Adapter:
    tenant = make.tenant()
    alice, bob = (make.everything(make.user(member_of=tenant), tenant) for _ in range(2))
    made = Adapter(make.provider(kind="federated", tenant=tenant), alice, bob)
    version = make.approved(template=make.template(tenant=tenant))
    for _ in range(6):
        make.instance(provider=made.provider, version=version)
    made.approved()
    return made


def session(cloud: Adapter) -> AdapterSession:
    said = {
        "protocol_versions": ["1.0"], "attest_kid": cloud.client.attest_kid, "capabilities": cloud.client.capabilities,
        "adapter_uid": "5f0e0b0a-8a4f-4a53-9d5e-0d6f3c1f9a11", "adapter": {"name": "t", "version": "1"},
        "sent_at": "2026-11-22T13:50:00.000Z",
    }  # fmt: skip
    return services.open_session(client=cloud.client, said=said, issuer=HOST)


def test_two_pollers_never_hold_one_event(cloud):
    opened = session(cloud)
    batches = at_once(cloud.provider.tenant, *[lambda: services.poll(session=opened, most=3)] * 4)
    held = [jti for batch in batches for jti in batch.sets]
    assert len(held) == len(set(held)) == 6
    assert set(Command.objects.values_list("delivery_count", flat=True)) == {1}


def test_an_assertion_sent_twice_at_once_gives_one_token(cloud):
    assertion = cloud.assertion()

    def ask() -> object:
        return services.issue_token(
            client=cloud.client, assertion=assertion, audiences=frozenset({f"{HOST}/oauth/token"}), scope=""
        )

    given = at_once(cloud.provider.tenant, ask, ask, ask)
    refusals = [one.code for one in given if isinstance(one, Refused)]
    assert refusals == ["assertion-replayed"] * 2
    assert AccessToken.objects.filter(client=cloud.client).count() == 1


def test_two_handshakes_at_once_leave_one_session_that_writes(cloud):
    opened = at_once(cloud.provider.tenant, *[lambda: session(cloud)] * 3)
    assert sorted(one.epoch for one in opened) == [1, 2, 3]
    assert AdapterSession.objects.get(client=cloud.client, closed_at=None).epoch == 3


def test_a_stop_and_a_proof_of_what_was_wanted_before_end_in_the_stop(cloud):
    opened = session(cloud)
    opened.client = cloud.client
    cloud.epoch = opened.epoch
    for one in AgentInstance.objects.filter(provider=cloud.provider):
        proof = cloud.proof(newest(one))

        def stop(one: AgentInstance = one) -> object:
            return restrict_instance(
                instance=one, to=InstanceState.QUARANTINED, actor=cloud.inviter, reason="Stop."
            )

        def prove(proof: bytes = proof) -> object:
            return services.take_attestation(session=opened, envelope=proof)

        at_once(cloud.provider.tenant, stop, prove)
        desired = Desired.objects.get(instance=one)
        assert (desired.run_state, newest(one).state) == ("Quarantined", "available")
        report = InstanceReport.objects.filter(instance=one).first()
        assert report is None or report.attested_generation != desired.generation


def test_an_acknowledgement_and_a_later_wish_leave_one_open_command(cloud):
    opened = session(cloud)
    opened.client = cloud.client
    sets = delivery.poll(session=opened).sets
    one = AgentInstance.objects.filter(provider=cloud.provider).first()

    def stop() -> object:
        return restrict_instance(instance=one, to=InstanceState.PAUSED, actor=cloud.inviter, reason="Stop.")

    at_once(cloud.provider.tenant, stop, lambda: delivery.poll(session=opened, most=0, acks=list(sets)))
    assert Command.objects.open().filter(instance=one).count() == 1
    assert newest(one).to_state == "Paused"


def test_of_reports_at_once_the_one_that_was_said_last_remains(cloud):
    one = AgentInstance.objects.filter(provider=cloud.provider)[0]
    start = clock.now()

    def say(seq: int):
        said = reports.Said(
            external_id=one.typeid, id=one.typeid, state="Active" if seq % 2 else "Unknown", generation=1,
            version_id=one.version.typeid, seq=seq, observed_at=start + timedelta(milliseconds=seq),
        )  # fmt: skip
        return lambda: reports.take(client=cloud.client, said=[said], epoch=1, now=clock.now())

    sleep(0.01)  # what was seen has been seen
    assert at_once(cloud.provider.tenant, *[say(seq) for seq in (2, 5, 1, 4, 3)]) == [[]] * 5
    report = InstanceReport.objects.get(instance=one)
    assert (report.state, report.seq) == ("Active", 5)
    assert InstanceStatus.objects.get(instance=one).state == "active"
    last = Observation.objects.filter(instance=one).order_by("-at", "-told_at", "-pk")[0]
    assert last.state == "active"
