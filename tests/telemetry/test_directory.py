"""What the processes remember of instances and versions is shared by threads and never half there."""

import threading
import uuid

import pytest
from django.db import connections

from telemetry.models import Event, QuarantineCount
from telemetry.queries import directory
from tests import make
from tests.telemetry.sending import a_batch, forget, send, sender

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _forget(committed):
    forget()
    yield
    forget()


def test_a_batch_that_comes_while_another_thread_reads_the_directory_is_linked(monkeypatch):
    instance, token = sender()
    reading, read_on = threading.Event(), threading.Event()
    read_versions = directory.Directory._read_versions

    def slowly(self, ids):
        reading.set()
        read_on.wait(10)
        return read_versions(self, ids)

    monkeypatch.setattr(directory.Directory, "_read_versions", slowly)
    statuses = []

    def first() -> None:
        try:
            statuses.append(send(a_batch(instance), token).status)
        finally:
            for connection in connections.all():
                connection.close()

    other = threading.Thread(target=first)
    other.start()
    assert reading.wait(10)
    monkeypatch.setattr(directory.Directory, "_read_versions", read_versions)
    second = send(a_batch(instance), token)  # while the first is in the middle of its reading
    read_on.set()
    other.join()
    assert (second.status, second.body, statuses) == (200, b"", [200])
    assert Event.objects.count() == 8
    assert not QuarantineCount.objects.exists()


def test_a_full_memory_does_not_take_from_a_batch_what_it_has_looked_up(monkeypatch):
    instance, _ = sender()
    known = directory.directory_of(instance.tenant_id)
    seen = known.look_up([instance.pk], [instance.version_id])
    monkeypatch.setattr(directory, "REMEMBERED", 0)
    known.look_up([uuid.uuid4()], [uuid.uuid4()])
    assert seen.instances[instance.pk] is not None
    assert seen.versions[instance.version_id] is not None


def test_a_version_made_after_it_was_asked_for_is_found_within_a_second(monkeypatch):
    instance, _ = sender()
    known = directory.directory_of(instance.tenant_id)
    later = uuid.uuid4()
    assert known.look_up([], [later]).versions[later] is None
    make.approved(template=instance.template, id=later)
    assert directory.MISSING_SECONDS <= 1
    now = directory.time.monotonic()
    monkeypatch.setattr(directory.time, "monotonic", lambda: now + 1.1)
    assert known.look_up([], [later]).versions[later] is not None


def test_a_reading_takes_along_what_others_will_ask_for_next(monkeypatch):
    instance, _ = sender()
    second = make.instance(
        version=instance.version, environment=instance.environment, provider=instance.provider
    )
    known = directory.directory_of(instance.tenant_id)
    readings = []
    read_instances = directory.Directory._read_instances
    monkeypatch.setattr(
        known._instances, "_read", lambda ids: readings.append(set(ids)) or read_instances(known, ids)
    )
    now = directory.time.monotonic()
    for moment in (0, 0.1, 2.5, 2.6):
        monkeypatch.setattr(directory.time, "monotonic", lambda moment=moment: now + moment)
        for one in (instance, second):
            assert known.look_up([one.pk], []).instances[one.pk] is not None
    assert readings == [{instance.pk}, {second.pk}, {instance.pk, second.pk}]
    monkeypatch.setattr(directory.time, "monotonic", lambda: now + 5)
    known.look_up([instance.pk], [])
    monkeypatch.setattr(directory.time, "monotonic", lambda: now + 10)
    known.look_up([instance.pk], [])
    assert readings[-1] == {instance.pk}, "nobody asks for the second any more"
