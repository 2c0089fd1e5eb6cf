"""What is not OTLP gets a clear no, and one broken span does not take its neighbours with it."""

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from telemetry.parsing import (
    JSON,
    PROTOBUF,
    BodyTooLarge,
    Undecodable,
    UnsupportedMedia,
    media_type,
    plain,
)
from tests.telemetry.otlp import as_json, event, one, read

LIMIT = 64 * 1024


def test_gzip_is_opened_and_identity_passes():
    body = one({})
    assert plain(gzip.compress(body), "gzip", LIMIT) == body
    assert plain(gzip.compress(body[:50]) + gzip.compress(body[50:]), "GZIP", LIMIT) == body
    assert plain(body, "", LIMIT) == plain(body, "identity", LIMIT) == body


def test_the_limit_counts_decompressed_bytes():
    bomb = gzip.compress(bytes(LIMIT + 1))
    assert len(bomb) < 1000
    with pytest.raises(BodyTooLarge, match="65536"):
        plain(bomb, "gzip", LIMIT)
    with pytest.raises(BodyTooLarge):
        plain(gzip.compress(bytes(LIMIT)) + gzip.compress(b"x"), "gzip", LIMIT)
    with pytest.raises(BodyTooLarge):
        plain(bytes(LIMIT + 1), "", LIMIT)
    assert len(plain(gzip.compress(bytes(LIMIT)), "gzip", LIMIT)) == LIMIT


@pytest.mark.parametrize("data", [b"", b"plain text", gzip.compress(b"abc" * 99)[:-4], zlib.compress(b"abc")])
def test_broken_gzip_is_undecodable(data):
    with pytest.raises(Undecodable, match="gzip"):
        plain(data, "gzip", LIMIT)


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip"])
def test_another_encoding_is_named_in_the_refusal(encoding):
    with pytest.raises(UnsupportedMedia, match=encoding):
        plain(b"", encoding, LIMIT)


def test_only_otlps_two_content_types_are_read():
    assert media_type("application/x-protobuf") == PROTOBUF
    assert media_type("Application/JSON; charset=utf-8") == JSON
    for wrong in ("", "text/plain", "application/grpc", "application/protobuf+x"):
        with pytest.raises(UnsupportedMedia):
            media_type(wrong)


def test_an_empty_request_is_an_empty_batch():
    assert read(b"").events == []
    assert read(b"{}", JSON).events == []
    assert read(b'{"resourceSpans": null}', JSON).events == []


def test_unknown_members_a_missing_kind_and_numbers_as_numbers_are_accepted():
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "eee19b7ec3c1b174",
        "name": "chat",
        "startTimeUnixNano": 1_790_000_000_000_000_000,
        "endTimeUnixNano": "1790000001000000000",
        "attributes": [
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": 12, "new": []}},
            {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "13"}},
            {"key": "gen_ai.usage.reasoning_tokens", "value": {"doubleValue": 4}},
        ],
        "someday": {"a": [1, None]},
        "status": {"code": "STATUS_CODE_ERROR"},
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span], "schemaUrl": "x"}], "later": 1}]}
    (found,) = read(json.dumps(body).encode(), JSON).events
    assert found.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (found.input_tokens, found.output_tokens, found.reasoning_tokens) == (12, 13, 4)
    assert found.duration_ms == 1000
    assert found.status == 2


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("traceId", "zz"),
        ("traceId", "abcd"),
        ("traceId", "0" * 32),
        ("spanId", ""),
        ("spanId", 7),
        ("parentSpanId", "ab"),
        ("startTimeUnixNano", "soon"),
        ("startTimeUnixNano", -1),
        ("endTimeUnixNano", 2**64),
        ("attributes", [{"key": "a", "value": {"intValue": "1e3"}}]),
        ("attributes", [{"key": "a", "value": {"bytesValue": "%"}}]),
        ("attributes", [{"key": 1}]),
        ("attributes", "none"),
        ("status", {"code": "STATUS_CODE_FINE"}),
        ("events", [{"attributes": [{"key": "a", "value": {"doubleValue": "x"}}]}]),
    ],
)
def test_a_malformed_span_lands_apart_and_its_neighbour_is_taken(member, value):
    body = json.loads(as_json(one({"gen_ai.tool.name": "fine"})))
    spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans.append(spans[0] | {"spanId": "00000000000000aa", member: value})
    batch = read(json.dumps(body).encode(), JSON)
    assert [event.tool_name for event in batch.events] == ["fine"]
    assert len(batch.bad) == 1
    assert batch.bad[0].detail


def test_a_protobuf_span_with_short_ids_lands_apart():
    request = ExportTraceServiceRequest.FromString(one({"gen_ai.tool.name": "fine"}))
    spans = request.resource_spans[0].scope_spans[0].spans
    for change in (
        {"trace_id": b"abc"},
        {"span_id": b""},
        {"parent_span_id": b"abc"},
        {"trace_id": bytes(16)},
    ):
        broken = spans.add()
        broken.CopyFrom(spans[0])
        for name, value in change.items():
            setattr(broken, name, value)
    batch = read(request.SerializeToString())
    assert len(batch.events) == 1
    assert len(batch.bad) == 4


def test_nesting_ends_somewhere():
    value: object = "x"
    for _ in range(40):
        value = [value]
    body = one({"arm.deep": "x"})
    request = ExportTraceServiceRequest.FromString(body)
    inner = request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value
    for _ in range(40):
        inner = inner.array_value.values.add()
    inner.string_value = "x"
    assert len(read(request.SerializeToString()).bad) == 1
    assert len(read(as_json(request.SerializeToString()), JSON).bad) == 1
    deep = b'{"resourceSpans":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(Undecodable):
        read(deep, JSON)


@pytest.mark.parametrize(
    "body", [b"\xff\xff\xff", b"\x0a\x05ab", one({})[:-3]], ids=["no tag", "short field", "cut off"]
)
def test_garbage_is_no_protobuf_request(body):
    with pytest.raises(Undecodable, match="ExportTraceServiceRequest"):
        read(body)


@pytest.mark.parametrize("body", [b"", b"[]", b"nope", b'{"resourceSpans": 5}', b"\xff"])
def test_garbage_is_no_json_request_and_the_answer_names_the_place(body):
    with pytest.raises(Undecodable, match="OTLP/JSON"):
        read(body, JSON)


@given(st.binary(max_size=400), st.sampled_from([PROTOBUF, JSON]))
def test_any_bytes_give_a_batch_or_a_clean_no(body, media):
    try:
        read(body, media)
    except Undecodable as no:
        assert str(no)


@given(st.binary(max_size=60), st.integers(0, 500))
def test_a_damaged_request_gives_a_batch_or_a_clean_no(noise, at):
    body = bytearray(
        one({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5, "arm.job.id": "j"})
    )
    body[at % len(body) : at % len(body) + len(noise)] = noise
    for damaged, media in ((bytes(body), PROTOBUF), (bytes(body).replace(b"\x0a", b"{"), JSON)):
        try:
            read(damaged, media)
        except Undecodable as no:
            assert str(no)


_text = st.text(st.sampled_from('aZ 0.{}"\\\x00\n\u00e9\u20ac\U0001d11e'), max_size=30)
_scalars = (
    _text
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
_names = st.sampled_from(
    [
        "gen_ai.operation.name",
        "gen_ai.usage.input_tokens",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.input.messages",
        "arm.version.id",
        "arm.job.id",
        "arm.status",
        "arm.cost.amount",
        "arm.anything",
        "metadata",
        "langfuse.observation.usage_details",
        "server.port",
        "error.type",
    ]
)


@given(st.dictionaries(_names, _scalars | st.lists(_text, max_size=3), max_size=8))
def test_whatever_an_sdk_accepts_reads_the_same_in_both_encodings(attributes):
    found = event(attributes)
    assert json.loads(found.attributes) is not None
    found.attributes.decode()
