"""Jobs that agents name are noted once for each tenant, with the batch that names them."""

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from arm.copying import writing
from costs.models import LedgerEntry
from telemetry.models import Event, Job
from telemetry.parsing import batches
from telemetry.parsing.layouts import Layouts
from telemetry.services import ingesting
from telemetry.services import jobs as jobs_service
from tests import make
from tests.telemetry.otlp import exported
from tests.telemetry.sending import a_batch, forget, resource_of, send, sender

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _forget(committed):
    forget()
    yield
    forget()


def test_a_job_is_one_however_many_batches_name_it_and_its_identifier_follows_from_its_name():
    instance, token = sender()

    def run(tracer):
        for n in range(3):
            tracer.start_span("run", attributes={"arm.job.id": f"job “{n}” \\ {n}"}).end()

    send(exported(run, resource_of(instance)), token)
    jobs = list(Job.objects.order_by("key"))
    assert [job.key for job in jobs] == [f"job “{n}” \\ {n}" for n in range(3)]
    for job in jobs:
        assert (job.pk.version, job.pk.variant) == (8, uuid.RFC_4122)
        assert job.pk.bytes == jobs_service.job_id(instance.tenant_id, job.key)
        assert list(Job.objects.called(job.key)) == [job]
    assert not Job.objects.called("job").exists()
    ingesting.forget()
    send(exported(run, resource_of(instance)), token)
    again = list(Job.objects.order_by("key"))
    assert [(job.pk, job.first_seen_at) for job in again] == [(job.pk, job.first_seen_at) for job in jobs]
    assert all(after.last_seen_at > before.last_seen_at for after, before in zip(again, jobs, strict=True))


def test_two_tenants_may_give_their_jobs_the_same_name():
    (ours, our_token), (theirs, their_token) = sender(), sender()
    for instance, token in ((ours, our_token), (theirs, their_token)):
        send(a_batch(instance), token)
        make.in_sight_of([instance.tenant])
        assert Job.objects.called("ticket-7").get().reported_by_id == instance.pk
    make.in_sight_of([ours.tenant, theirs.tenant])
    assert Job.objects.called("ticket-7").count() == 2


def test_what_is_said_of_a_known_job_later_is_added_and_what_is_not_said_stays():
    instance, token = sender()

    def run(**attributes):
        return exported(
            lambda tracer: tracer.start_span("run", attributes=attributes).end(), resource_of(instance)
        )

    send(run(**{"arm.job.id": "j", "arm.cost_center": "cc-1"}), token)
    send(run(**{"arm.job.id": "j", "arm.outcome.name": "refund"}), token)
    job = Job.objects.get()
    assert (job.key, job.outcome) == ("j", "refund")
    send(run(**{"arm.job.id": "j"}), token)
    assert Job.objects.get().outcome == "refund"


def test_two_batches_that_name_a_new_job_at_once_both_land(monkeypatch):
    """The second waits for the first, finds the job noted, and is stored whole without being read or packed again."""
    instance, token = sender()
    first, second = a_batch(instance), a_batch(instance, number=5)
    real, sent = jobs_service.copy_in, []
    packed, pack = [], ingesting._pack
    monkeypatch.setattr(ingesting, "_pack", lambda *args: packed.append(1) or pack(*args))

    def meanwhile(*args):
        if not sent:
            sent.append(1)
            with ThreadPoolExecutor(1) as another:
                assert another.submit(_in_a_thread, first, token).result(30) == 200
        real(*args)

    monkeypatch.setattr(jobs_service, "copy_in", meanwhile)
    assert send(second, token).status == 200
    assert Event.objects.count() == 4 + 6
    assert LedgerEntry.objects.count() == 3 + 5
    assert Job.objects.count() == 1
    assert len(packed) == 2, "once for each batch"


@pytest.mark.parametrize("warm", [False, True])
def test_what_is_said_first_of_a_job_counts_however_the_spans_are_read(monkeypatch, warm):
    """Spans that are read together come after others: which are read together must make no difference."""
    monkeypatch.setattr(batches, "_layouts", Layouts())
    instance, token = sender()
    if warm:
        other, their_token = sender()
        send(_outcomes(other), their_token)
        make.in_sight_of([instance.tenant])
    send(_outcomes(instance), token)
    job = Job.objects.get()
    assert (job.outcome, job.reported_by_id) == ("resolved", instance.pk)


def _outcomes(instance):
    """Thirty spans that say one thing of a job, then one of another trace that says another, and one that says nothing."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    for key, value in resource_of(instance).items():
        group.resource.attributes.add(key=key).value.string_value = value
    spans = group.scope_spans.add().spans
    began = time.time_ns() - 300 * 10**9
    for n in range(32):
        span = spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name="x")
        span.start_time_unix_nano, span.end_time_unix_nano = began - (n == 0) + n * 10**6, began + 10**9
        span.attributes.add(key="arm.job.id").value.string_value = "J"
        if n:
            outcome = "resolved" if n < 31 else "escalated"
            span.attributes.add(key="arm.outcome.name").value.string_value = outcome
    return request.SerializeToString()


def test_the_known_jobs_of_another_tenant_are_not_told():
    (ours, our_token), (theirs, their_token) = sender(), sender()
    send(a_batch(ours), our_token)
    send(a_batch(theirs), their_token)
    ids = [uuid.UUID(bytes=jobs_service.job_id(one.tenant_id, "ticket-7")) for one in (ours, theirs)]
    with writing("ingest", ours.tenant_id) as cursor:
        cursor.execute("SELECT telemetry_known_jobs(%s)", [ids])
        assert [row[0] for row in cursor.fetchall()] == ids[:1]


def _in_a_thread(body, token):
    try:
        return send(body, token).status
    finally:
        connections.close_all()
