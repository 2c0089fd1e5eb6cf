"""A batch lands whole, once, in its tenant, with what it cost."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connections
from django.db.models import Sum

from arm import clock, db
from costs.models import InstanceDay, LedgerEntry, SpendRollup, money
from costs.pricing import Basis
from registry.models import InstanceStatus
from telemetry.models import Event, Job, QuarantineCount, QuarantinedEvent
from telemetry.parsing import EventType, Flag
from tests import make
from tests.telemetry.otlp import as_json, exported, one
from tests.telemetry.sending import CHAT, a_batch, calls, forget, resource_of, send, sender

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _forget(committed):
    forget()
    yield
    forget()


def test_three_model_calls_land_with_their_run_and_their_cost():
    instance, token = sender()
    answer = send(a_batch(instance), token)
    assert (answer.status, answer.body) == (200, b"")

    events = list(Event.objects.for_list())
    assert [event.type for event in events].count(EventType.MODEL_CALL) == 3
    assert {event.instance for event in events} == {instance}
    assert {event.job for event in events} == {"ticket-7"}
    call = next(event for event in events if event.type == EventType.MODEL_CALL)
    assert (call.model_used.text, call.input_tokens, call.flags) == ("gpt-4o-2024-08-06", 1000, 0)

    entries = list(LedgerEntry.objects.for_list())
    assert sum(entry.amount for entry in entries) == Decimal("0.0120")
    assert {(entry.basis, entry.currency.text, entry.job, entry.outcome.text) for entry in entries} == {
        (Basis.LIST, "USD", "ticket-7", "resolved")
    }
    assert {entry.entry_id for entry in entries} <= {event.event_id for event in events}


def test_sums_and_job_are_written_with_the_batch():
    instance, token = sender()
    send(a_batch(instance), token)
    (rollup,) = SpendRollup.objects.all()
    assert (rollup.calls, rollup.input_tokens, rollup.cached_tokens, rollup.output_tokens) == (
        3,
        3000,
        1200,
        600,
    )
    assert money(rollup.amount_picos) == Decimal("0.0120")
    assert rollup.attributed
    assert money(InstanceDay.objects.get(instance=instance).amount_picos) == Decimal("0.0120")
    job = Job.objects.get()
    assert (job.key, job.outcome, job.reported_by_id) == ("ticket-7", "resolved", instance.pk)
    send(a_batch(instance), token)
    assert money(SpendRollup.objects.get().amount_picos) == Decimal("0.0240")


def test_a_replay_lands_once_and_is_still_answered_200():
    instance, token = sender()
    body = a_batch(instance)
    for _ in range(3):
        assert send(body, token).status == 200
    assert Event.objects.count() == 4
    assert LedgerEntry.objects.count() == 3
    assert money(SpendRollup.objects.aggregate(all=Sum("amount_picos"))["all"]) == Decimal("0.0120")


def test_of_a_batch_that_is_partly_known_only_the_rest_lands():
    instance, token = sender()
    first, second = a_batch(instance), a_batch(instance, number=5)
    send(first, token)
    # Two requests one behind the other are one request in protobuf: repeated fields add up.
    assert send(first + second + second, token).status == 200
    assert Event.objects.count() == 4 + 6
    assert LedgerEntry.objects.count() == 3 + 5
    assert money(SpendRollup.objects.aggregate(all=Sum("amount_picos"))["all"]) == 8 * Decimal("0.0040")


def test_protobuf_json_and_gzip_of_the_same_spans_are_the_same_spans():
    instance, token = sender()
    body = a_batch(instance)
    assert send(body, token).status == 200
    assert send(as_json(body), token, media="application/json").body == b"{}"
    assert send(body, token, zipped=True).status == 200
    assert send(as_json(body), token, media="application/json", zipped=True).status == 200
    assert Event.objects.count() == 4


def test_an_instance_that_sends_is_seen():
    instance, token = sender()
    send(a_batch(instance), token)
    status = InstanceStatus.objects.get(instance=instance)
    assert status.telemetry_at is not None
    assert clock.now() - status.telemetry_at < timedelta(seconds=30)
    assert status.heartbeat_at == status.telemetry_at


def test_an_instance_of_a_federated_provider_that_sends_gives_no_sign_of_life_for_its_adapter():
    instance, token = sender(kind="federated")
    send(a_batch(instance), token)
    status = InstanceStatus.objects.get(instance=instance)
    assert status.telemetry_at is not None
    assert status.heartbeat_at is None


def test_the_tenant_is_the_keys_and_never_the_payloads():
    ours, our_token = sender()
    theirs, their_token = sender()
    assert send(a_batch(theirs), our_token).status == 200
    make.in_sight_of([ours.tenant])
    assert Event.objects.count() == 0
    assert QuarantinedEvent.objects.values_list("reason", flat=True).distinct().get() == "foreign_tenant"
    make.in_sight_of([theirs.tenant])
    assert Event.objects.count() == LedgerEntry.objects.count() == QuarantinedEvent.objects.count() == 0
    assert send(a_batch(theirs), their_token).status == 200
    with db.tenants([ours.tenant_id]):
        assert Event.objects.count() == LedgerEntry.objects.count() == SpendRollup.objects.count() == 0


def test_the_application_cannot_reach_a_partition():
    instance, token = sender()
    send(a_batch(instance), token)
    day = datetime.now(UTC).date()
    for statement in (
        f"SELECT * FROM partitions.telemetry_event_{day:%Y%m%d}",
        "UPDATE telemetry_event SET flags = 0",
        "DELETE FROM costs_ledgerentry",
        "TRUNCATE telemetry_event",
    ):
        with pytest.raises(Exception, match=r"denied|append-only"), connections["default"].cursor() as cursor:
            cursor.execute(statement)
        connections["default"].close()


def test_the_ingest_role_reads_nothing_and_writes_only_partitions():
    instance, token = sender()
    send(a_batch(instance), token)
    for statement in (
        "SELECT * FROM telemetry_event",
        f"SELECT * FROM partitions.telemetry_event_{datetime.now(UTC):%Y%m%d}",
        "INSERT INTO telemetry_code (tenant_id, text) VALUES (gen_random_uuid(), 'x')",
        "SELECT * FROM arm_apikey",
    ):
        with pytest.raises(Exception, match="denied"), connections["ingest"].cursor() as cursor:
            cursor.execute(statement)
        connections["ingest"].close()


class TestQuarantine:
    def reasons(self) -> dict[str, int]:
        return {count.reason: count.spans for count in QuarantineCount.objects.all()}

    def test_unlinked_spans_are_kept_and_counted_and_the_sender_is_warned(self):
        instance, token = sender()
        answer = send(one(CHAT | {"gen_ai.input.messages": "secret"}), token)
        assert answer.status == 200
        assert b"1 no_instance" in answer.body
        (held,) = QuarantinedEvent.objects.all()
        assert (held.reason, held.environment, held.provider) == (
            "no_instance",
            instance.environment,
            instance.provider,
        )
        assert held.payload["model"] == "gpt-4o-2024-08-06"
        assert "secret" not in str(held.payload)
        assert Event.objects.count() == 0

    @pytest.mark.parametrize(
        ("resource", "reason"),
        [
            ({}, "no_instance"),
            ({"arm.instance.id": "INSTANCE"}, "no_version"),
            ({"arm.instance.id": str(uuid.uuid4()), "arm.version.id": "VERSION"}, "unknown_instance"),
            ({"arm.instance.id": "nonsense", "arm.version.id": "VERSION"}, "unknown_instance"),
            ({"arm.instance.id": "INSTANCE", "arm.version.id": str(uuid.uuid4())}, "unbound_version"),
            ({"arm.instance.id": "INSTANCE", "arm.version.id": "ALIEN"}, "unbound_version"),
            ({"arm.instance.id": "ELSEWHERE", "arm.version.id": "VERSION"}, "unknown_instance"),
        ],
    )
    def test_the_reason_code_says_what_is_wrong(self, resource, reason):
        instance, token = sender()
        alien = make.approved(template=make.template(tenant=instance.tenant))
        elsewhere = make.instance(version=instance.version)
        names = {
            "INSTANCE": instance.typeid,
            "VERSION": instance.version.typeid,
            "ALIEN": alien.typeid,
            "ELSEWHERE": elsewhere.typeid,
        }
        send(one(CHAT, {key: names.get(value, value) for key, value in resource.items()}), token)
        assert self.reasons() == {reason: 1}

    def test_a_retried_batch_is_counted_once(self):
        _, token = sender()
        body = exported(calls(2), {})
        for _ in range(2):
            send(body, token)
        assert self.reasons() == {"no_instance": 3}
        assert QuarantinedEvent.objects.count() == 3

    def test_good_spans_land_beside_bad_ones(self):
        instance, token = sender()
        assert send(a_batch(instance) + exported(calls(1), {}), token).status == 200
        assert Event.objects.count() == 4
        assert self.reasons() == {"no_instance": 2}

    def test_beyond_the_room_spans_are_only_counted(self, monkeypatch):
        monkeypatch.setattr("telemetry.services.ingesting.ROOM", 2)
        _, token = sender()
        send(exported(calls(4), {}), token)
        assert self.reasons() == {"no_instance": 5}
        assert QuarantinedEvent.objects.count() == 2

    @pytest.mark.parametrize("shift", [timedelta(days=-91), timedelta(minutes=11)])
    def test_what_is_too_old_or_ahead_is_the_clocks_fault(self, shift):
        instance, token = sender()
        at = int((datetime.now(UTC) + shift).timestamp() * 1e9)

        def late(tracer):
            tracer.start_span("chat", attributes=CHAT, start_time=at).end(at + 1)

        send(exported(late, resource_of(instance)), token)
        assert self.reasons() == {"clock": 1}

    def test_what_cannot_be_read_leaves_its_digest_only(self):
        instance, token = sender()
        body = as_json(a_batch(instance, number=1)).replace(b'"spanId": "', b'"spanId": "zz', 1)
        assert send(body, token, media="application/json").status == 200
        (held,) = QuarantinedEvent.objects.all()
        assert (held.reason, set(held.payload)) == ("undecodable", {"sha256", "bytes"})
        assert Event.objects.count() == 1


class TestLinking:
    def flags_of(self, attributes, resource, token):
        assert send(one(attributes, resource), token).status == 200
        return Flag(Event.objects.get().flags)

    def test_another_version_of_the_same_template_is_linked_and_called_drift(self):
        instance, token = sender()
        newer = make.approved(template=instance.template)
        resource = {"arm.instance.id": instance.typeid, "arm.version.id": newer.typeid}
        send(exported(calls(1), resource), token)
        assert {Flag(event.flags) for event in Event.objects.all()} == {Flag.VERSION_DRIFT}
        assert {event.version for event in Event.objects.all()} == {newer}

    @pytest.mark.parametrize(
        ("model", "drifts"),
        [("gpt-4o", False), ("gpt-4o-2024-11-20", False), ("gpt-4o-mini", True), ("claude-sonnet-4-5", True)],
    )
    def test_a_model_that_the_genome_does_not_name_is_drift(self, model, drifts):
        instance, token = sender()
        send(a_batch(instance, number=1, **{"gen_ai.response.model": model}), token)
        call = Event.objects.get(type=EventType.MODEL_CALL)
        assert bool(Flag(call.flags) & Flag.MODEL_DRIFT) == drifts

    @pytest.mark.parametrize(
        ("tool", "digest", "drifts"),
        [
            ("search", None, False),
            ("search", "sha256:" + "b" * 64, False),
            ("search", "sha256:" + "e" * 64, True),
            ("shell", None, True),
        ],
    )
    def test_a_tool_that_the_genome_does_not_know_like_that_is_drift(self, tool, digest, drifts):
        instance, token = sender()

        def use(tracer):
            named = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool, "arm.job.id": "j"}
            tracer.start_span(
                "tool", attributes=named | ({"arm.tool.digest": digest} if digest else {})
            ).end()

        send(exported(use, resource_of(instance)), token)
        assert bool(Flag(Event.objects.get().flags) & Flag.TOOL_DRIFT) == drifts

    def test_work_without_job_and_outcome_lands_and_is_called_unattributed(self):
        instance, token = sender()

        def run(tracer):
            tracer.start_span("chat", attributes=CHAT).end()

        send(exported(run, resource_of(instance)), token)
        assert Flag(Event.objects.get().flags) == Flag.UNATTRIBUTED
        assert LedgerEntry.objects.get().unattributed
        assert not SpendRollup.objects.get().attributed

    def test_a_workload_token_speaks_for_its_instance_without_naming_it(self):
        instance, _ = sender()
        token = make.workload_token(instance)
        send(exported(calls(1), {}), token)
        events = list(Event.objects.all())
        assert {event.instance for event in events} == {instance}
        assert {event.version for event in events} == {instance.version}
        assert {Flag(event.flags) for event in events} == {Flag.BY_CREDENTIAL}

    def test_a_workload_token_speaks_for_nobody_else(self):
        instance, _ = sender()
        other = make.instance(
            version=instance.version, environment=instance.environment, provider=instance.provider
        )
        send(a_batch(other), make.workload_token(instance))
        assert not Event.objects.exists()
        assert QuarantineCount.objects.get().reason == "unknown_instance"

    def test_a_declared_alias_finds_the_instance(self):
        instance, token = sender()
        type(instance).objects.filter(pk=instance.pk).update(labels={"k8s.pod.uid": "pod-7"})
        send(exported(calls(1), {"k8s.pod.uid": "pod-7"}), token)
        assert {Flag(event.flags) for event in Event.objects.all()} == {Flag.BY_ALIAS}
        send(exported(calls(1), {"k8s.pod.uid": "pod-8"}), token)
        assert QuarantineCount.objects.get().reason == "no_instance"

    def test_the_cost_centre_comes_from_the_span_else_from_the_instance(self):
        instance, token = sender()
        type(instance).objects.filter(pk=instance.pk).update(cost_center="cc-instance")
        send(a_batch(instance, number=1), token)
        send(a_batch(instance, number=1, **{"arm.cost_center": "cc-span"}), token)
        centers = {entry.cost_center.text for entry in LedgerEntry.objects.for_list()}
        assert centers == {"cc-instance", "cc-span"}

    def test_old_events_get_a_partition_of_their_day(self):
        instance, token = sender()
        at = int((datetime.now(UTC) - timedelta(days=30)).timestamp() * 1e9)

        def old(tracer):
            tracer.start_span("chat", attributes=CHAT | {"arm.job.id": "j"}, start_time=at).end(at + 1)

        assert send(exported(old, resource_of(instance)), token).status == 200
        assert Event.objects.get().occurred_at.date() == (datetime.now(UTC) - timedelta(days=30)).date()
        assert LedgerEntry.objects.count() == 1
