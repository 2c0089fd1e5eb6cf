"""What the database itself refuses, and what is taken packed."""

import gzip
import json

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from arm import ids
from federation.models import AdapterSession, Command, ControlKey, Desired, Invite, ProviderClient
from federation.protocol.reading import PAGE_BYTES
from tests import make

from .provider import Adapter, federated, newest, people

pytestmark = pytest.mark.django_db


@pytest.fixture
def cloud() -> Adapter:
    tenant = make.tenant("acme")
    made = Adapter(federated(tenant=tenant), *people(tenant))
    made.one = make.instance(
        provider=made.provider, version=make.approved(template=make.template(tenant=tenant))
    )
    return made.connected()


def refused(rows, **changes) -> bool:
    """Whether this UPDATE is refused by the database."""
    assert rows.exists()
    try:
        with transaction.atomic():
            rows.update(**changes)
    except DatabaseError:
        return True
    return False


def test_keys_documents_and_what_has_ended_never_change(cloud):
    command = newest(cloud.one)
    cloud.prove(command)
    assert refused(Command.objects.all(), state="available")
    assert refused(Command.objects.all(), document=b"{}")
    assert refused(Command.objects.all(), generation=9)
    assert refused(ProviderClient.objects.all(), attest_jwk={})
    assert refused(ProviderClient.objects.all(), attest_kid="another")
    assert refused(ProviderClient.objects.all(), epoch=0)
    assert refused(Invite.objects.all(), used_at=None)
    assert refused(ControlKey.objects.all(), sealed=b"")
    assert refused(Desired.objects.all(), generation=0)
    assert not refused(AdapterSession.objects.all(), health="ok")


def test_who_was_revoked_does_not_come_back(cloud):
    ProviderClient.objects.update(status="revoked")
    assert refused(ProviderClient.objects.all(), status="registered")


def test_an_instance_has_one_open_command(cloud):
    command = newest(cloud.one)
    command.pk, command.jti, command.generation = ids.uuid7(), "set_other", 99
    with pytest.raises(IntegrityError, match="one_open_command"), transaction.atomic():
        command.save(force_insert=True)


def test_bodies_may_come_packed_and_not_unpack_without_end(cloud):
    said = json.dumps({"returnImmediately": True}).encode()

    def poll(body: bytes):
        headers = {"Content-Encoding": "gzip"}
        return cloud._send("POST", "/federation/v1/poll", body, **headers)

    assert poll(gzip.compress(said)).status_code == 200
    assert poll(said).json()["code"] == "malformed"
    assert poll(gzip.compress(b" " * (PAGE_BYTES + 1))).status_code == 413
