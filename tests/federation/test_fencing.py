"""Whoever was fenced off or revoked writes nothing, even if it was let in a moment before; and nobody waits in a circle."""

from threading import Event
from time import sleep

import pytest

from arm.models import Tenant
from federation import services
from federation.models import AdapterSession, Attestation, Command, Snapshot
from federation.protocol.refusals import Refused
from federation.services.orders import hold
from registry.models import AgentInstance
from tests import make
from tests.at_once import at_once

from .provider import Adapter, newest, settled


def writes(cloud: Adapter, session: AdapterSession) -> dict[str, object]:
    """Every write of an adapter, with a session that was good when it was looked up."""
    command, item = newest(cloud.one), {"epoch": session.epoch, "status": "applying"}
    snapshot = Snapshot.objects.create(tenant_id=session.tenant_id, session=session)
    proof = cloud.proof(command)
    return {
        "poll": lambda: services.poll(session=session),
        "status": lambda: services.take_status(session=session, command=command.pk, said=item),
        "proof": lambda: services.take_attestation(session=session, envelope=proof),
        "snapshot": lambda: services.open_snapshot(session=session),
        "page": lambda: services.put_page(session=session, snapshot=snapshot.pk, number=1, instances=[]),
        "commit": lambda: services.commit_snapshot(session=session, snapshot=snapshot.pk, said={}),
        "heartbeat": lambda: services.heartbeat(client=session.client, session=session.pk, said=item),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["poll", "status", "proof", "snapshot", "page", "commit", "heartbeat"])
@pytest.mark.parametrize("end", ["stale-session", "client-revoked"])
def test_nothing_is_written_after_another_handshake_or_a_revocation(verb, end):
    cloud = settled()
    session = AdapterSession.objects.select_related("client").get(closed_at=None)
    write = writes(cloud, session)[verb]
    before = Attestation.objects.count(), Snapshot.objects.count()
    if end == "stale-session":
        cloud.handshake()
    else:
        services.revoke_client(client=cloud.client, actor=cloud.approver, reason="Its key leaked.")
    with pytest.raises(Refused) as refused:
        write()
    assert refused.value.code == end
    assert (Attestation.objects.count(), Snapshot.objects.count()) == before


@pytest.mark.django_db
def test_a_revoked_client_makes_no_handshake():
    cloud = settled()
    client = cloud.client
    services.revoke_client(client=client, actor=cloud.approver, reason="Its key leaked.")
    said = {
        "protocol_versions": ["1.0"],
        "attest_kid": client.attest_kid,
        "capabilities": client.capabilities,
    }
    with pytest.raises(Refused, match="no more"):
        services.open_session(client=client, said=said, issuer="x")


def committed_cloud() -> tuple[Tenant, Adapter]:
    tenant = make.tenant()
    alice, bob = (make.everything(make.user(member_of=tenant), tenant) for _ in range(2))
    cloud = Adapter(make.provider(kind="federated", tenant=tenant), alice, bob)
    version = make.approved(template=make.template(tenant=tenant))
    for _ in range(2):
        make.instance(provider=cloud.provider, version=version)
    cloud.approved()
    return tenant, cloud


@pytest.mark.usefixtures("committed")
def test_a_revocation_and_a_stop_of_the_whole_provider_do_not_lock_each_other_out():
    tenant, cloud = committed_cloud()
    first, second = Command.objects.filter(provider=cloud.provider).order_by("pk")
    begun = Event()

    def stop() -> object:
        """As `decide` goes: the instances, then the command of one after the other."""
        hold(AgentInstance.objects.filter(provider=cloud.provider))
        Command.objects.select_for_update(of=("self",)).get(pk=first.pk)
        begun.set()
        sleep(0.5)  # the revocation comes as far as it does
        return Command.objects.select_for_update(of=("self",)).get(pk=second.pk).state

    def revoke() -> object:
        begun.wait(10)
        return services.revoke_client(
            client=cloud.client, actor=cloud.approver, reason="Its key leaked."
        ).status

    assert at_once(tenant, stop, revoke) == ["available", "revoked"]


@pytest.mark.usefixtures("committed")
def test_a_handshake_waits_for_what_the_session_before_it_is_writing():
    tenant, cloud = committed_cloud()
    said = {
        "protocol_versions": ["1.0"], "attest_kid": cloud.client.attest_kid, "capabilities": cloud.client.capabilities,
        "adapter_uid": "5f0e0b0a-8a4f-4a53-9d5e-0d6f3c1f9a11", "adapter": {"name": "t", "version": "1"},
        "sent_at": "2026-11-22T13:50:00.000Z",
    }  # fmt: skip
    first = services.open_session(client=cloud.client, said=said, issuer="x")
    begun = Event()

    def write() -> object:
        services.open_snapshot(session=first)
        begun.set()
        sleep(0.5)
        return AdapterSession.objects.get(pk=first.pk).closed_at

    def shake() -> object:
        begun.wait(10)
        return services.open_session(client=cloud.client, said=said, issuer="x").epoch

    assert at_once(tenant, write, shake) == [None, 2]
