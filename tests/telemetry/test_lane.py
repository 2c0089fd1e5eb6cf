"""What the OTLP door answers, to whom, and that nothing is half written."""

import gzip
import io
import json
import threading
from decimal import Decimal
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from arm import crypto, ids, services
from arm.lanes import compose
from arm.models import ApiKey
from costs.models import LedgerEntry, SpendRollup
from telemetry.models import Event, QuarantinedEvent
from telemetry.queries import credentials
from tests import make
from tests.telemetry.otlp import as_json, exported
from tests.telemetry.sending import a_batch, calls, forget, resource_of, send, sender

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _forget(committed):
    forget()
    yield
    forget()


def nothing_landed() -> bool:
    return not any(model.objects.exists() for model in (Event, LedgerEntry, SpendRollup, QuarantinedEvent))


def test_a_bad_body_is_400_with_a_google_rpc_status_in_the_senders_encoding():
    _, token = sender()
    answer = send(b"\xff\xff", token)
    assert answer.status == 400
    status = Status.FromString(answer.body)
    assert (status.code, answer.headers["Content-Type"]) == (3, "application/x-protobuf")
    assert "ExportTraceServiceRequest" in status.message
    answer = send(b"{", token, media="application/json")
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 3)
    assert send(b"no gzip", token, HTTP_CONTENT_ENCODING="gzip").status == 400
    assert nothing_landed()


def test_a_body_over_the_limit_is_413_compressed_or_not(settings):
    settings.OTLP_MAX_BYTES = 1000
    _, token = sender()
    assert send(bytes(1001), token).status == 413
    bomb = send(bytes(1_000_000), token, zipped=True)
    assert bomb.status == 413
    assert Status.FromString(bomb.body).code == 8
    assert nothing_landed()


def test_a_body_without_a_length_is_read_to_its_end_but_not_past_the_limit(settings):
    instance, token = sender()
    assert send(a_batch(instance), token, CONTENT_LENGTH="").status == 200
    settings.OTLP_MAX_BYTES = 100
    assert send(a_batch(instance), token, CONTENT_LENGTH="").status == 413


def test_a_body_shorter_than_promised_is_not_stored():
    instance, token = sender()
    body = a_batch(instance)
    assert send(body, token, CONTENT_LENGTH=str(len(body) + 1)).status == 400
    assert nothing_landed()


@pytest.mark.parametrize("header", [None, "nonsense", "armi_" + "0" * 42])
def test_a_wrong_key_is_401(header):
    instance, _ = sender()
    answer = send(a_batch(instance), header)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert Status.FromString(answer.body).code == 16


def test_a_key_of_another_kind_or_nobody_has_seen_is_401():
    instance, _ = sender()
    _, service_token = make.key(ApiKey.Kind.SERVICE, tenant=instance.tenant)
    for token in (service_token, crypto.new_token("i")):
        assert send(a_batch(instance), token).status == 401


def test_a_revoked_key_is_refused_within_a_second():
    instance, token = sender()
    assert send(a_batch(instance), token).status == 200
    key = ApiKey.objects.get(digest=crypto.token_digest(token))
    services.revoke_key(key=key, actor=None, reason="leaked")
    assert credentials.REMEMBER_SECONDS < 1
    credentials._remembered.update(
        {digest: (0.0, found) for digest, (_, found) in credentials._remembered.items()}
    )
    assert send(a_batch(instance), token).status == 401


def test_another_tenant_or_provider_than_the_keys_is_404():
    ours, token = sender()
    theirs, _ = sender()
    body = a_batch(ours)
    assert send(body, token, HTTP_ARM_TENANT=theirs.tenant.slug).status == 404
    assert send(body, token, HTTP_ARM_PROVIDER="nowhere").status == 404
    make.in_sight_of([ours.tenant])
    assert nothing_landed()
    assert (
        send(body, token, HTTP_ARM_TENANT=ours.tenant.slug, HTTP_ARM_PROVIDER=ours.provider.slug).status
        == 200
    )


def test_other_media_and_methods_are_named_in_the_refusal():
    _, token = sender()
    assert send(b"x", token, media="text/plain").status == 415
    assert send(b"x", token, HTTP_CONTENT_ENCODING="br").status == 415
    answer = send(b"", token, REQUEST_METHOD="GET")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_a_busy_database_is_503_with_retry_after_and_nothing_is_half_written():
    instance, token = sender()
    send(a_batch(instance), token)  # the day's partitions exist now
    before = Event.objects.count(), LedgerEntry.objects.count()
    owner = connections["owner"]
    with psycopg.connect(**owner.get_connection_params()) as blocker:
        blocker.execute("LOCK TABLE costs_spendrollup IN ACCESS EXCLUSIVE MODE")
        answer = send(a_batch(instance), token)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert Status.FromString(answer.body).code == 14
        blocker.rollback()
    assert (Event.objects.count(), LedgerEntry.objects.count()) == before
    assert send(a_batch(instance), token).status == 200


@pytest.mark.parametrize("role", ["default", "ingest"])
@pytest.mark.parametrize("media", ["application/x-protobuf", "application/json"])
def test_a_database_that_is_away_is_503_and_the_same_batch_is_taken_later(monkeypatch, role, media):
    """The connection is refused for real: nobody listens at that address."""
    instance, token = sender()
    body = a_batch(instance)
    connection = connections[role]
    connection.close()
    away = {**connection.get_connection_params(), "host": "/nowhere/at/all"}
    with monkeypatch.context() as patch:
        patch.setattr(connection, "get_connection_params", lambda: away)
        answer = send(as_json(body) if media == "application/json" else body, token, media=media)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    code = (
        json.loads(answer.body)["code"]
        if media == "application/json"
        else Status.FromString(answer.body).code
    )
    assert code == 14
    assert send(body, token).status == 200


def test_a_warning_is_a_partial_success_that_rejects_nothing():
    _, token = sender()
    other, _ = sender()
    answer = ExportTraceServiceResponse.FromString(send(a_batch(other), token).body)
    assert answer.partial_success.rejected_spans == 0
    assert "4 unknown_instance" in answer.partial_success.error_message
    told = json.loads(send(as_json(a_batch(other)), token, media="application/json").body)
    assert "4 unknown_instance" in told["partialSuccess"]["errorMessage"]


def test_a_sender_cannot_tell_another_tenants_instance_from_none_at_all():
    ours, token = sender()
    theirs, _ = sender()
    nobodys = {"arm.instance.id": ids.encode("ins", ids.uuid7()), "arm.version.id": theirs.version.typeid}
    of_theirs = send(a_batch(theirs), token)
    of_nobody = send(exported(calls(3), nobodys), token)
    assert (of_theirs.status, of_theirs.body) == (of_nobody.status, of_nobody.body)
    make.in_sight_of([ours.tenant])
    reasons = QuarantinedEvent.objects.values_list("reason", flat=True)
    assert set(reasons) == {"foreign_tenant", "unknown_instance"}  # our own operators see which it was


def test_the_request_id_comes_back():
    instance, token = sender()
    assert (
        send(a_batch(instance), token, HTTP_X_REQUEST_ID="build-4711-x").headers["X-Request-ID"]
        == "build-4711-x"
    )
    assert (
        send(a_batch(instance), token, HTTP_X_REQUEST_ID="bad\nid-here")
        .headers["X-Request-ID"]
        .startswith("req_")
    )


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def served():
    """The lanes behind a real socket; Django answers nothing here, so that a wrong path is seen."""

    def nobody(environ, start_response):
        start_response("404 Not Found", [])
        return [b""]

    server: WSGIServer = make_server("127.0.0.1", 0, compose(nobody, settings.LANES), handler_class=_Quiet)

    def serve() -> None:
        server.serve_forever()
        for connection in connections.all():
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_unmodified_exporter_delivers_in_both_slash_forms(served, slash, compression, monkeypatch):
    instance, token = sender()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", compression)
    exporter = OTLPSpanExporter(
        endpoint=f"{served}/otlp/v1/traces{slash}", headers={"Authorization": f"Bearer {token}"}
    )
    results = []
    send_once = exporter.export

    def send_twice(spans):
        results.extend((send_once(spans), send_once(spans)))
        return results[-1]

    exporter.export = send_twice
    provider = TracerProvider(resource=Resource(dict(resource_of(instance))))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    calls(3)(provider.get_tracer("agent"))
    provider.shutdown()
    assert results == [SpanExportResult.SUCCESS] * 2
    assert Event.objects.count() == 4
    assert sum(entry.amount for entry in LedgerEntry.objects.all()) == Decimal("0.012")


def test_a_wrong_key_makes_the_exporter_fail_loudly(served, caplog):
    instance, _ = sender()
    exporter = OTLPSpanExporter(
        endpoint=f"{served}/otlp/v1/traces", headers={"Authorization": f"Bearer {crypto.new_token('i')}"}
    )
    provider = TracerProvider(resource=Resource(dict(resource_of(instance))))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    calls(1)(provider.get_tracer("agent"))
    provider.shutdown()
    assert "401" in caplog.text


def test_two_senders_of_the_same_batch_at_the_same_time_store_it_once(served):
    instance, token = sender()
    body = gzip.compress(a_batch(instance, number=200))
    statuses: list[int] = []
    start = threading.Barrier(4)

    def go() -> None:
        start.wait()
        try:
            headers = {"HTTP_CONTENT_ENCODING": "gzip", "wsgi.input": io.BytesIO(body)}
            statuses.append(send(body, token, **headers).status)
        finally:
            for connection in connections.all():
                connection.close()

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4
    assert Event.objects.count() == 201
    assert sum(entry.amount for entry in LedgerEntry.objects.all()) == Decimal("0.8")
