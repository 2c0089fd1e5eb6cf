"""A layout only makes reading faster: what it says of a span is what the general reader says, or nothing."""

from collections.abc import Iterable
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.trace import Tracer

from costs.pricing import PriceBook
from costs.services import booking
from telemetry.parsing import batches, layouts
from telemetry.parsing.errors import BadSpan, Undecodable
from telemetry.parsing.layouts import Layouts
from tests.telemetry.otlp import exported, read
from tests.telemetry.writing import written

PRICES = PriceBook()
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.response.model": "gpt-4o",
    "gen_ai.response.id": "chatcmpl-1234567890",
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 340,
    "gen_ai.conversation.id": "thread-1",
    "gen_ai.request.temperature": 0.25,
    "gen_ai.response.finish_reasons": ["stop"],
    "server.port": 443,
}


@pytest.fixture(autouse=True)
def learned(monkeypatch) -> Layouts:
    """Layouts that know nothing yet."""
    fresh = Layouts()
    monkeypatch.setattr(batches, "_layouts", fresh)
    return fresh


def encoded(
    attributes: dict[str, object], *, root: bool = True, name: str = "chat", broken: bool = False
) -> bytes:
    """One span as the SDK's exporter encodes it."""

    def make(tracer: Tracer) -> None:
        with tracer.start_as_current_span("outer"):
            span = tracer.start_span(name, attributes=attributes)
            if broken:
                span.record_exception(ValueError("no"))
            span.end()
        if root:
            tracer.start_span(name, attributes=attributes).end()

    spans = ExportTraceServiceRequest.FromString(exported(make)).resource_spans[0].scope_spans[0].spans
    wanted = [span for span in spans if span.name == name and bool(span.parent_span_id) != root]
    return wanted[0].SerializeToString()


def in_general(data: bytes):
    """What the general reader says, ids and times and all; None where it refuses the span or the whole body."""
    try:
        return batches._by_fields(data)
    except (BadSpan, Undecodable):
        return None


@pytest.mark.parametrize("root", [True, False])
def test_the_second_span_of_a_program_is_read_by_the_layout_of_the_first(learned, root):
    first = encoded(CHAT, root=root)
    assert learned.read(first) is None
    in_general(first)
    other = CHAT | {
        "gen_ai.response.id": "chatcmpl-ABCDEFGHIJ",
        "gen_ai.usage.input_tokens": 9999,
        "gen_ai.usage.output_tokens": 200,
        "gen_ai.conversation.id": "thread-2",
    }
    second = encoded(other, root=root)
    found = learned.read(second)
    assert found is not None
    assert found == in_general(second)
    assert found[5][7] != in_general(first)[5][7]


@pytest.mark.parametrize(
    "change",
    [
        {"gen_ai.response.model": "gpt-5o"},
        {"server.port": 444},
        {"gen_ai.request.temperature": 0.5},
        {"gen_ai.usage.input_tokens": 12},
        {"gen_ai.conversation.id": "thread-11"},
        {"error.type": "timeout"},
    ],
)
def test_any_other_difference_is_another_layout(learned, change):
    in_general(encoded(CHAT))
    data = encoded(CHAT | change)
    assert learned.read(data) is None
    in_general(data)
    assert learned.read(data) == in_general(data)


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.input.messages": "hello"},
        {"gen_ai.operation.name": "dream", "gen_ai.response.id": "abc"},
        {"gen_ai.usage.input_tokens": 5.0},
        {"gen_ai.usage.input_tokens": "5"},
        {"gen_ai.usage.input_tokens": 5, "llm.token_count.prompt": 6},
        {"arm.note": "x" * 5000},
    ],
)
def test_what_cannot_be_told_from_the_bytes_alone_is_never_learned(learned, attributes):
    data = encoded(attributes)
    for _ in range(3):
        in_general(data)
    assert learned.read(data) is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "dream"},
        {"gen_ai.usage.input_tokens": 2**40},
        {"gen_ai.usage.output_tokens": -5},
        {"error.type": "timeout", "arm.status": "denied"},
        {"arm.cost.amount": 0.25, "gen_ai.response.time_to_first_chunk": 0.5, "arm.cost.currency": "EUR"},
    ],
)
def test_what_does_not_vary_means_the_same_again(learned, attributes):
    first, second = encoded(attributes), encoded(attributes)
    wanted = in_general(second)
    learned.learn(first, {}, in_general(first)[5])
    assert learned.read(second) == wanted


@pytest.mark.parametrize("amount", [0.1, 1e-12, -3.0, 0.0])
def test_money_and_durations_vary_too(learned, amount):
    in_general(encoded({"arm.cost.amount": 0.25, "gen_ai.response.time_to_first_chunk": 0.5}))
    data = encoded({"arm.cost.amount": amount, "gen_ai.response.time_to_first_chunk": abs(amount)})
    assert learned.read(data) == in_general(data)
    for wrong in (float("nan"), float("inf"), 1e300):
        data = encoded({"arm.cost.amount": wrong, "gen_ai.response.time_to_first_chunk": 0.5})
        assert learned.read(data) is None


def test_a_body_with_one_cut_span_is_refused_as_a_whole_however_well_its_neighbours_are_known(learned):
    request = ExportTraceServiceRequest.FromString(exported(lambda tracer: tracer.start_span("chat").end()))
    data = request.resource_spans[0].scope_spans[0].spans[0].SerializeToString()
    warm = _body([data, data])
    assert len(read(warm).events) == len(read(warm).events) == 2
    assert learned._read == 3
    for cut in (data[:-1], data + b"\xff", b"\x08"):
        body = _body([data, cut])
        with pytest.raises(DecodeError):
            ExportTraceServiceRequest.FromString(body)
        with pytest.raises(Undecodable, match="ExportTraceServiceRequest"):
            read(body)


def _body(spans: list[bytes]) -> bytes:
    """A request of one scope with these encoded spans, whatever is in them."""
    scope = b"".join(b"\x12" + _varint(len(span)) + span for span in spans)
    group = b"\x12" + _varint(len(scope)) + scope
    return b"\x0a" + _varint(len(group)) + group


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


def test_a_name_that_comes_twice_is_left_to_the_general_reader(learned):
    tokens = "gen_ai.usage.input_tokens"
    for number in (5, 6):
        data = _span(1, [(tokens, number), (tokens, 5.0)], None)
        assert in_general(data)[5][3][0] == 5
        assert learned.read(data) is None


def test_a_span_with_events_is_left_to_the_general_reader(learned):
    data = encoded(CHAT, broken=True, root=False)
    in_general(data)
    assert learned.read(data) is None


@pytest.mark.parametrize(
    "order", [[1, 2, 4, 9, 7, 8], [1, 2, 4, 7, 9, 8], [1, 9, 2, 4, 7, 8], [9, 1, 2, 4, 7, 8]]
)
@pytest.mark.parametrize("many", [3, 40])
def test_another_order_of_fields_is_left_to_the_general_reader(monkeypatch, order, many):
    monkeypatch.setattr(booking, "price_book", lambda tenant_id: PRICES)
    spans = [_span(n, [("gen_ai.response.id", "chatcmpl-1")], None) for n in range(1, 3 * many, 3)]
    body = _body([_in_order(span, order) for span in spans])
    first = written(body)
    assert first == written(body) == written(body)
    assert len(first[0]) == many and first[3] == []


def _in_order(span: bytes, order: list[int]) -> bytes:
    """The same fields of a span, in this order."""
    records: list[tuple[int, bytes]] = []
    at = 0
    for field, _, _, end in layouts._records(span):
        records.append((field, span[at:end]))
        at = end
    rank = {field: place for place, field in enumerate(order)}
    return b"".join(data for _, data in sorted(records, key=lambda one: rank.get(one[0], len(order))))


def test_what_is_learned_stays_bounded_however_many_names_come(learned):
    """Families are forgotten with the last layout that reads for them."""
    known, novel = encoded(CHAT), encoded(CHAT | {"gen_ai.response.model": "gpt-4o-000000"})
    in_general(known)
    for n in range(500):
        for _ in range(layouts.WORTH):
            assert learned.read(known) is not None
        in_general(novel.replace(b"gpt-4o-000000", b"gpt-4o-%06d" % n))
    assert learned._learned > 400
    assert len(learned._families) <= sum(map(len, learned._by_length.values())) <= 2 * layouts.PER_LENGTH


def test_a_text_that_is_not_utf_8_or_not_admitted_is_left_to_the_general_reader(learned):
    data = encoded(CHAT)
    in_general(data)
    assert learned.read(data.replace(b"thread-1", b"thread-\xff")) is None
    assert learned.read(data.replace(b"thread-1", b"        ")) is None
    assert in_general(data.replace(b"thread-1", b"        "))[5][2] is None


def test_a_count_that_is_no_varint_of_its_length_is_left_to_the_general_reader(learned):
    data = encoded(CHAT)
    in_general(data)
    whole = b"\x18\xb0\x09"  # 1200
    assert data.count(whole) == 1
    assert learned.read(data.replace(whole, b"\x18\x30\x09")) is None
    assert learned.read(data.replace(whole, b"\x18\xb0\x89")) is None


def test_a_program_that_never_repeats_itself_is_soon_not_learned_from(learned):
    for n in range(layouts.PATIENCE + 50):
        in_general(encoded(CHAT | {"server.port": 1000 + n}))
    assert learned._learned == layouts.PATIENCE + 1


def test_a_batch_reads_the_same_cold_and_warm(learned, monkeypatch):
    def run(tracer: Tracer) -> None:
        for n in range(6):
            job = {
                "gen_ai.operation.name": "invoke_agent",
                "arm.job.id": f"ticket-{n}",
                "arm.cost_center": "cc",
            }
            with tracer.start_as_current_span("invoke_agent", attributes=job):
                tracer.start_span("chat", attributes=CHAT | {"gen_ai.usage.input_tokens": 150 + n}).end()
                tracer.start_span("tool", attributes={"gen_ai.tool.name": "search"}).end()

    body = exported(run)
    cold = read(body)
    used = learned._read
    warm = read(body)
    assert learned._read - used == 18
    monkeypatch.setattr(batches, "_layouts", Layouts())
    monkeypatch.setattr(Layouts, "read", lambda self, data: None)
    assert cold == warm == read(body)


@given(st.integers(0, 10_000), st.integers(0, 255), st.booleans())
def test_a_damaged_span_is_read_as_the_general_reader_reads_it_or_not_at_all(at, byte, root):
    known = Layouts()
    data = _LEARNED[root]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "_layouts", known)
        in_general(data)
        damaged = bytearray(data)
        damaged[at % len(data)] = byte
        found = known.read(bytes(damaged))
        if found is not None:
            patch.setattr(batches, "_layouts", Layouts())
            assert found == in_general(bytes(damaged))


_names = st.sampled_from(
    [
        *CHAT,
        "arm.job.id",
        "arm.cost_center",
        "arm.generation",
        "arm.cost.amount",
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.tool.call.id",
        "gen_ai.tool.name",
        "gen_ai.input.messages",
        "llm.token_count.prompt",
        "openinference.span.kind",
        "metadata",
        "arm.any%thing",
        "user.id",
    ]
)
_values = (
    st.integers(-5, 2**33)
    | st.sampled_from([5, 300, 70_000, "abc", "abd", "ab%c", "a%b", "%%b%s"])
    | st.text(st.sampled_from("abc é\x00"), max_size=6)
    | st.booleans()
    | st.floats()
)
_pairs = st.lists(st.tuples(_names, _values), max_size=7)
_damage = st.none() | st.tuples(st.integers(0, 400), st.integers(0, 255))


def _span(number: int, pairs: Iterable[tuple[str, Any]], damage: tuple[int, int] | None) -> bytes:
    """A span of the first trace or the second, with a name sometimes twice and a byte sometimes wrong."""
    span = Span(trace_id=bytes([1 + number % 2]) * 16, span_id=number.to_bytes(8, "big"), name="x")
    span.start_time_unix_nano, span.end_time_unix_nano = (
        1_790_000_000_000_000_000 + number,
        1_790_000_001_000_000_000,
    )
    if number % 3:
        span.parent_span_id = (number - 1).to_bytes(8, "big")
    for key, value in pairs:
        kind = {bool: "bool_value", int: "int_value", str: "string_value", float: "double_value"}[type(value)]
        setattr(span.attributes.add(key=key).value, kind, value)
    data = bytearray(span.SerializeToString())
    if damage is not None:
        data[damage[0] % len(data)] = damage[1]
    return bytes(data)


@given(st.lists(st.tuples(_pairs, _damage), min_size=1, max_size=3), st.lists(_pairs, max_size=3))
def test_rows_and_ledger_are_the_same_bytes_with_layouts_and_without(kinds, others):
    """Whatever an SDK sends, and what no SDK would send: the same spans cold, warm, and read without any layout."""
    spans = [_span(1 + n, pairs, damage) for n, (pairs, damage) in enumerate(kinds)]
    spans += [_span(7 + n, [*kinds[0][0], *pairs], None) for n, pairs in enumerate(others)]
    body = _body([*spans, *spans])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(booking, "price_book", lambda tenant_id: PRICES)
        patch.setattr(batches, "_layouts", Layouts())
        cold, warm = written(body), written(body)
        for module in (batches, layouts):
            patch.setattr(module, "FEW", 1)
        in_columns = written(body)
        patch.setattr(Layouts, "in_columns", lambda self, spans, resource, mapper: ([], spans))
        patch.setattr(Layouts, "read", lambda self, data: None)
        assert cold == warm == in_columns == written(body)


_LEARNED = {root: encoded(CHAT, root=root) for root in (True, False)}
