"""Spans that are read together are the same events, rows and money as when they are read one by one."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from arm import clock
from costs.models import LedgerEntry, SpendRollup
from costs.pricing import INT8_MAX, Basis, Price, PriceBook, Usage, rates
from costs.services import booking, spending
from registry.models import AgentInstance
from telemetry.models import Event, Job, QuarantinedEvent
from telemetry.parsing import PROTOBUF, batches, parse
from telemetry.parsing.layouts import FEW, FEWEST, Layouts
from telemetry.services import ingesting
from tests.costs.test_pricing import NOON_US, line
from tests.telemetry.otlp import PROVIDER, TENANT, read
from tests.telemetry.sending import CHAT, forget, resource_of, send, sender
from tests.telemetry.writing import written

MANY = 3 * FEW


@pytest.fixture(autouse=True)
def _learned(monkeypatch) -> Iterator[None]:
    """Layouts that know nothing yet."""
    monkeypatch.setattr(batches, "_layouts", Layouts())
    forget()
    yield
    forget()


def run(
    number: int = MANY,
    *,
    resource: dict[str, str] | None = None,
    jobs: tuple[str, ...] = ("ticket-1", "ticket-2"),
    start: datetime | None = None,
    step: timedelta = timedelta(milliseconds=3),
    each: dict[str, object] | None = None,
    seed: int = 1,
    tokens: tuple[int, int] = (200, 9000),
) -> bytes:
    """A request of one process: for each job a root that names it, and `number` model calls below all of them."""
    source = random.Random(seed)
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    for key, value in (resource or {}).items():
        group.resource.attributes.add(key=key).value.string_value = value
    spans = group.scope_spans.add().spans
    began = int((start or clock.now() - timedelta(minutes=5)).timestamp() * 1_000_000) * 1000
    roots: list[tuple[bytes, bytes]] = []
    for job in jobs:
        roots.append((source.randbytes(16), source.randbytes(8)))
        root = spans.add(trace_id=roots[-1][0], span_id=roots[-1][1], name="invoke_agent")
        root.start_time_unix_nano, root.end_time_unix_nano = began, began + 10**9
        root.attributes.add(key="gen_ai.operation.name").value.string_value = "invoke_agent"
        root.attributes.add(key="arm.job.id").value.string_value = job
        root.attributes.add(key="arm.outcome.name").value.string_value = "resolved"
    for n in range(number):
        trace, parent = roots[n % len(roots)] if roots else (source.randbytes(16), source.randbytes(8))
        span = spans.add(trace_id=trace, span_id=source.randbytes(8), parent_span_id=parent, name="chat")
        span.start_time_unix_nano = began + n * round(step / timedelta(microseconds=1)) * 1000
        span.end_time_unix_nano = span.start_time_unix_nano + source.randrange(10**6, 10**10)
        said = CHAT | {"gen_ai.response.id": f"chatcmpl-{source.getrandbits(64):016x}"} | (each or {})
        said["gen_ai.usage.input_tokens"] = source.randrange(*tokens)
        for key, value in said.items():
            attribute = span.attributes.add(key=key).value
            if isinstance(value, int):
                attribute.int_value = value
            else:
                attribute.string_value = str(value)
    return request.SerializeToString()


def together(body: bytes) -> int:
    """How many spans of this body are read in columns, once its layouts are known."""
    read(body)
    return sum(map(len, read(body).blocks))


def written_singly(body: bytes) -> object:
    """What is written of this body when its spans are read one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Layouts, "in_columns", lambda self, spans, resource, mapper: ([], spans))
        return written(body)


def test_many_spans_that_look_alike_are_read_together():
    assert together(run()) == MANY
    assert together(run(FEW - 1)) == 0


def test_spans_whose_counts_are_of_different_length_are_one_block():
    body = run(tokens=(1, 40_000))
    read(body)
    (block,) = read(body).blocks
    assert len(block) >= MANY - FEWEST
    assert min(block.tokens[0]) < 2**14 <= max(block.tokens[0])


@pytest.mark.parametrize("seed", range(5))
def test_rows_ledger_and_sums_are_the_same_bytes_in_columns_and_one_by_one(monkeypatch, seed):
    monkeypatch.setattr(booking, "price_book", lambda tenant_id: PriceBook())
    bodies = [run(seed=10 * seed + n, tokens=(1, 40_000)) for n in range(3)]
    bodies.append(
        run(seed=seed, each={"gen_ai.conversation.id": "thread-7", "gen_ai.usage.output_tokens": 5})
    )
    bodies.append(run(seed=seed, jobs=(), each={"gen_ai.response.model": "nobody-prices-this"}))
    bodies.append(run(seed=seed, resource={"arm.cost_center": "cc-9", "arm.job.id": "nightly"}, jobs=()))
    for body in bodies:
        assert together(body) > MANY / 2
        in_columns = written(body)
        assert in_columns == written_singly(body)
        assert len(in_columns[0]) >= MANY


@pytest.mark.parametrize(
    "odd",
    [
        lambda span: setattr(span, "span_id", bytes(8)),
        lambda span: setattr(span, "trace_id", bytes(16)),
        lambda span: setattr(span, "parent_span_id", bytes(8)),
        lambda span: setattr(span, "end_time_unix_nano", span.start_time_unix_nano - 1),
        lambda span: setattr(span, "end_time_unix_nano", 2**64 - 1),
        lambda span: setattr(span, "start_time_unix_nano", 2**64 - 1),
        lambda span: setattr(span.attributes[-1].value, "string_value", "chatcmpl- not-plain-\u00e9"),
        lambda span: setattr(span.attributes[4].value, "int_value", -1),
    ],
)
def test_a_span_that_needs_a_closer_look_is_taken_out_of_its_block(monkeypatch, odd):
    monkeypatch.setattr(booking, "price_book", lambda tenant_id: PriceBook())
    body = run()
    read(body)
    request = ExportTraceServiceRequest.FromString(body)
    odd(request.resource_spans[0].scope_spans[0].spans[20])
    body = request.SerializeToString()
    batch = read(body)
    assert (sum(map(len, batch.blocks)), len(batch.events) + len(batch.bad)) == (MANY - 1, 3)
    assert written(body) == written_singly(body)


def test_a_trace_that_speaks_with_several_voices_is_read_one_by_one():
    """Who descends from whom decides then: the nearest ancestor."""
    read(run())
    request = ExportTraceServiceRequest.FromString(run())
    spans = request.resource_spans[0].scope_spans[0].spans
    inner, leaf = spans[10], spans[12]
    assert inner.trace_id == leaf.trace_id == spans[0].trace_id
    inner.attributes.add(key="arm.job.id").value.string_value = "inner"
    leaf.parent_span_id = inner.span_id
    batch = read(request.SerializeToString())
    assert batch.blocks == []
    assert {event.span_id: event.job for event in batch.events}[leaf.span_id] == "inner"
    assert batch == parse(
        request.SerializeToString(), PROTOBUF, tenant_id=TENANT, provider_id=PROVIDER, singly=True
    )


counts = st.integers(0, 2**28 - 1)


@given(
    st.lists(st.tuples(counts, counts, counts, counts), min_size=1, max_size=20),
    st.sampled_from(["0.15", "2.5", "3.75", "0.000000001", "0.123456789", "1000"]),
    st.sampled_from([(), ((128_000, "5"),), ((1_000_000, "7.5"), (200_000, "6.1"))]),
    st.booleans(),
)
def test_prices_of_a_column_are_the_prices_of_its_calls(calls, dollars, tiers, per_call):
    def at(input_mtok: str) -> object:
        call = Decimal("0.001") if per_call else None
        return rates(input_mtok=Decimal(input_mtok), output_mtok=Decimal(dollars) * 3, per_call=call)

    price = Price(at(dollars), "USD", Basis.LIST, "", tuple((most, at(more)) for most, more in tiers))
    found = read_price(price, calls)
    if found is None:  # only where some amount might not fit
        most = max(map(max, calls))
        assert any(not one.holds(most) for one in (price.base, *(dearer for _, dearer in price.tiers)))
    else:
        assert found == [price.amount(*call) for call in calls]


def test_an_amount_that_might_not_fit_is_left_to_be_worked_out_call_by_call():
    dear = Decimal("9999999999.123456789")
    price = Price(rates(input_mtok=dear, output_mtok=dear), "USD", Basis.RATE_CARD, "")
    assert read_price(price, [(0, 0, 0, 0)]) is None, "the rate alone does not fit"
    price = Price(rates(input_mtok=Decimal(10**6), output_mtok=Decimal(1)), "USD", Basis.RATE_CARD, "")
    assert read_price(price, [(3 * 10**6, 0, 0, 1)]) == [price.amount(3 * 10**6, 0, 0, 1)]
    assert read_price(price, [(10**7, 0, 0, 1)]) is None
    assert price.amount(10**7, 0, 0, 1) is None


def test_sums_of_a_block_are_exact_beyond_64_bits():
    column = np.full(40, INT8_MAX // 2, np.int64)
    assert spending._sum(column, 40) == 40 * (INT8_MAX // 2)
    assert spending._sum(np.array([1, 2]), 2) == 3
    assert (spending._sum(7, 40), spending._sum(None, 40)) == (280, 0)


def read_price(price: Price, calls: list[tuple[int, int, int, int]]) -> list[int] | None:
    """The amounts of these calls as columns."""
    amounts = price.amounts(len(calls), *(np.array(column, np.int64) for column in zip(*calls, strict=True)))
    return None if amounts is None else amounts.tolist()


def test_a_price_that_changes_within_a_block_is_asked_call_by_call(monkeypatch):
    noon = datetime.fromtimestamp(NOON_US / 1_000_000, UTC)
    book = PriceBook(
        [line("gpt-4o*", "7", starts=noon), line("gpt-4o*", "5", starts=noon - timedelta(days=1))]
    )
    monkeypatch.setattr(booking, "price_book", lambda tenant_id: book)
    body = run(start=noon - timedelta(milliseconds=3 * MANY // 2))
    assert together(body) == MANY
    assert written(body) == written_singly(body)
    before, after = (
        book.charge(provider="openai", model="gpt-4o-2024-08-06", at_us=NOON_US - 1, usage=Usage(10**6)),
        book.charge(provider="openai", model="gpt-4o-2024-08-06", at_us=NOON_US, usage=Usage(10**6)),
    )
    assert (before.amount, after.amount) == (5 * 10**12, 7 * 10**12)


# --- in the database ----------------------------------------------------------------------------------------


@pytest.fixture
def instance(committed) -> tuple[AgentInstance, str]:
    found, token = sender()
    send(run(FEW, resource=dict(resource_of(found)), seed=999), token)  # its layouts are known from here on
    return found, token


@pytest.fixture
def read_singly(monkeypatch) -> list[bool]:
    """Whether each reading of a body was one by one."""
    asked: list[bool] = []
    real = ingesting.parse

    def parse(*args: object, singly: bool = False, **more: object) -> object:
        asked.append(singly)
        return real(*args, singly=singly, **more)

    monkeypatch.setattr(ingesting, "parse", parse)
    return asked


def test_a_large_batch_lands_with_its_cost_sums_and_jobs(instance, read_singly):
    owner, token = instance
    known = Event.objects.count(), LedgerEntry.objects.count()
    assert send(run(resource=dict(resource_of(owner)), jobs=("a", "b", "c")), token).body == b""
    assert read_singly == [False]
    assert (Event.objects.count() - known[0], LedgerEntry.objects.count() - known[1]) == (MANY + 3, MANY)
    calls = [event for event in Event.objects.for_list() if event.job in ("a", "b", "c")]
    assert len(calls) == MANY + 3 and {event.instance for event in calls} == {owner}
    assert {job.key for job in Job.objects.all()} >= {"a", "b", "c"}
    entries = LedgerEntry.objects.all()
    rollups = SpendRollup.objects.all()
    assert sum(entry.amount_picos for entry in entries) == sum(row.amount_picos for row in rollups) > 0
    assert sum(row.calls for row in rollups) == len(entries)


def test_a_replay_of_a_large_batch_is_not_even_read_again(instance, read_singly):
    owner, token = instance
    body = run(resource=dict(resource_of(owner)), seed=5)
    for _ in range(3):
        assert send(body, token).status == 200
    assert read_singly == [False, False, False]
    assert Event.objects.count() == (FEW + 2) + (MANY + 2)
    assert LedgerEntry.objects.count() == FEW + MANY
    assert sum(row.calls for row in SpendRollup.objects.all()) == FEW + MANY


def test_of_a_large_batch_that_is_partly_known_only_the_rest_lands(instance, read_singly):
    owner, token = instance
    first, second = (run(resource=dict(resource_of(owner)), seed=seed) for seed in (5, 6))
    send(first, token)
    assert send(first + second + second, token).status == 200
    assert read_singly == [False, False, True]
    assert LedgerEntry.objects.count() == FEW + 2 * MANY
    assert Event.objects.count() == (FEW + 2) + 2 * (MANY + 2)


def test_a_batch_over_midnight_lands_in_both_days(instance, read_singly):
    owner, token = instance
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    body = run(resource=dict(resource_of(owner)), start=midnight - timedelta(milliseconds=30), seed=8)
    assert send(body, token).body == b""
    assert read_singly == [False, True]
    days = {row.day: row.calls for row in SpendRollup.objects.all()}
    assert (days[midnight.date() - timedelta(days=1)], sum(days.values())) == (10, FEW + MANY)
    assert Event.objects.filter(occurred_at__lt=midnight).count() >= 10 + 2


def test_a_block_whose_instance_nobody_knows_goes_to_quarantine_span_by_span(instance, read_singly):
    owner, token = instance
    stranger = dict(resource_of(owner)) | {"arm.instance.id": "ins_01hzy3m4q8e9vabcde00000000"}
    answer = send(run(resource=stranger), token)
    assert b"unknown_instance" in answer.body
    assert read_singly == [False, True]
    assert QuarantinedEvent.objects.count() == MANY + 2
    assert Event.objects.count() == FEW + 2
