"""Every dialect says the same thing in the same row."""

import hashlib
import json

import pytest
from opentelemetry.trace import Status, StatusCode, Tracer

from arm import ids
from telemetry.parsing import EventType
from telemetry.parsing import Status as Ended
from tests.telemetry.otlp import START, as_json, event, exported, kept, one, read

GEN_AI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.cache_read.input_tokens": 400,
    "gen_ai.usage.output_tokens": 200,
    "gen_ai.usage.reasoning.output_tokens": 50,
    "gen_ai.response.finish_reasons": ["stop", "length"],
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.conversation.id": "thread-7",
}
GEN_AI_1_36 = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.prompt_tokens": 1000,
    "gen_ai.usage.completion_tokens": 200,
}
OPEN_INFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.model_name": "gpt-4o-2024-08-06",
    "llm.token_count.prompt": 1000,
    "llm.token_count.prompt_details.cache_read": 400,
    "llm.token_count.completion": 200,
    "llm.token_count.completion_details.reasoning": 50,
    "session.id": "thread-7",
}
LANGFUSE = {
    "langfuse.observation.type": "generation",
    "langfuse.observation.model.name": "gpt-4o-2024-08-06",
    "langfuse.observation.usage_details": json.dumps(
        {"input": 600, "input_cached_tokens": 400, "output": 200}
    ),
    "langfuse.observation.cost_details": json.dumps({"input": 0.002, "output": 0.002, "total": 0.004}),
    "langfuse.session.id": "thread-7",
}


@pytest.mark.parametrize("dialect", [GEN_AI, GEN_AI_1_36, OPEN_INFERENCE, LANGFUSE])
def test_a_model_call_has_the_same_model_and_tokens_in_every_dialect(dialect):
    found = event(dialect)
    assert found.type == EventType.MODEL_CALL
    assert found.model_used == "gpt-4o-2024-08-06"
    assert (found.input_tokens, found.output_tokens) == (1000, 200)


@pytest.mark.parametrize("dialect", [GEN_AI, OPEN_INFERENCE, LANGFUSE])
def test_cached_tokens_and_conversation_are_read_where_the_dialect_has_them(dialect):
    found = event(dialect)
    assert found.cache_read_tokens == 400
    assert found.conversation == "thread-7"


def test_the_current_convention_fills_every_field():
    found = event(GEN_AI)
    assert found.provider == "openai"
    assert found.model_requested == "gpt-4o"
    assert found.reasoning_tokens == 50
    assert found.finish_reasons == "stop,length"
    assert found.ttft_ms == 250
    assert found.duration_ms == 1000
    assert found.occurred_us == START // 1000
    assert found.status == Ended.OK
    assert found.attributes == b"{}"


def test_arms_own_name_wins_over_gen_ai_and_gen_ai_over_a_framework():
    found = event(
        GEN_AI
        | OPEN_INFERENCE
        | {"llm.token_count.prompt": 7, "arm.event.type": "evaluation", "llm.system": "x"}
    )
    assert found.type == EventType.EVALUATION
    assert found.input_tokens == 1000
    assert kept(found)["llm.token_count.prompt"] == 7, "what lost is kept as it came"


def test_a_cost_that_langfuse_reports_is_read_exactly():
    assert event(LANGFUSE).cost_picos == 4_000_000_000


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.operation.name": "embeddings"}, EventType.MODEL_CALL),
        ({"gen_ai.operation.name": "invoke_agent"}, EventType.AGENT_RUN),
        ({"gen_ai.operation.name": "execute_tool"}, EventType.TOOL_CALL),
        ({"gen_ai.operation.name": "retrieval"}, EventType.RETRIEVAL),
        ({"gen_ai.operation.name": "search_memory"}, EventType.MEMORY_OP),
        ({"gen_ai.operation.name": "plan"}, EventType.AGENT_RUN),
        ({"openinference.span.kind": "EMBEDDING"}, EventType.MODEL_CALL),
        ({"openinference.span.kind": "TOOL"}, EventType.TOOL_CALL),
        ({"openinference.span.kind": "RETRIEVER"}, EventType.RETRIEVAL),
        ({"openinference.span.kind": "AGENT"}, EventType.AGENT_RUN),
        ({"openinference.span.kind": "CHAIN"}, EventType.STEP),
        ({"openinference.span.kind": "GUARDRAIL"}, EventType.GUARDRAIL),
        ({"openinference.span.kind": "EVALUATOR"}, EventType.EVALUATION),
        ({"langfuse.observation.type": "tool"}, EventType.TOOL_CALL),
        ({"mcp.method.name": "tools/call", "gen_ai.tool.name": "search"}, EventType.TOOL_CALL),
        ({"mcp.method.name": "resources/read"}, EventType.RETRIEVAL),
        ({"arm.event.type": "handoff"}, EventType.HANDOFF),
        ({"gen_ai.response.model": "gpt-4o"}, EventType.MODEL_CALL),
        ({"gen_ai.tool.name": "search"}, EventType.TOOL_CALL),
        ({}, EventType.AGENT_RUN),
    ],
)
def test_an_operation_becomes_its_type(attributes, kind):
    assert event(attributes).type == kind


def test_an_unknown_operation_is_kept_by_name_and_typed_by_what_the_span_carries():
    found = event({"gen_ai.operation.name": "dream", "gen_ai.usage.input_tokens": 5})
    assert found.type == EventType.MODEL_CALL
    assert kept(found)["arm.raw_operation"] == "dream"
    assert (
        event({"gen_ai.operation.name": "dream", "openinference.span.kind": "TOOL"}).type
        == EventType.TOOL_CALL
    )


def test_an_mcp_tool_call_keeps_its_session_and_tool():
    found = event(
        {
            "mcp.method.name": "tools/call",
            "mcp.session.id": "s-1",
            "gen_ai.tool.name": "search",
            "mcp.protocol.version": "1",
        }
    )
    assert (found.tool_name, found.conversation) == ("search", "s-1")
    assert kept(found)["mcp.protocol.version"] == "1"


def test_a_span_names_its_version_and_instance_over_its_resource():
    ver, ins, other = ids.uuid7(), ids.uuid7(), ids.uuid7()
    resource = {"arm.version.id": ids.encode("ver", ver), "arm.instance.id": ids.encode("ins", ins)}
    assert (event({}, resource).version, event({}, resource).instance) == (ver.bytes, ins.bytes)
    found = event({"arm.instance.id": str(other)}, resource)
    assert (found.version, found.instance) == (ver.bytes, other.bytes)
    assert event({"arm.instance.id": "ver_nonsense"}).instance == b"", "given, but none of ours"
    assert event({}).instance is None


def test_an_error_is_a_status_and_an_exception_leaves_only_its_type():
    def failing(tracer: Tracer) -> None:
        span = tracer.start_span("chat", attributes=GEN_AI)
        span.record_exception(ValueError("the secret is 4711"))
        span.set_status(Status(StatusCode.ERROR, "the secret is 4711"))
        span.end()

    body = exported(failing)
    assert read(body) == read(as_json(body), "application/json")
    (found,) = read(body).events
    assert (found.status, found.error_type) == (Ended.ERROR, "ValueError")
    assert b"4711" not in found.attributes
    assert found.content_digest is not None


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"error.type": "timeout"}, Ended.ERROR),
        ({"error.type": "asyncio.CancelledError"}, Ended.CANCELLED),
        ({"arm.status": "denied"}, Ended.DENIED),
    ],
)
def test_a_status_is_read_from_what_the_span_says(attributes, status):
    assert event(attributes).status == status


CONTENT = {
    "gen_ai.input.messages": '[{"role":"user","content":"my card is 4111"}]',
    "gen_ai.tool.call.arguments": '{"card": "4111"}',
    "gen_ai.prompt.0.content": "4111",
    "llm.input_messages.0.message.content": "4111",
    "input.value": "4111",
    "langfuse.observation.input": "4111",
    "langfuse.observation.metadata.note": "4111",
    "tool.parameters": "4111",
    "user.id": "4111",
    "gen_ai.something.new": "4111",
    "http.request.body": "4111",
}


@pytest.mark.parametrize("name", CONTENT)
def test_what_people_said_never_reaches_the_row(name):
    found = event(GEN_AI | {name: CONTENT[name]})
    assert "4111" not in repr(found).replace(repr(found.event_id), "")


def test_content_leaves_a_digest_that_can_be_worked_out_again():
    found = event({"gen_ai.input.messages": "hello", "gen_ai.output.messages": "world"})
    parts = b"".join(
        name + b"\0" + hashlib.sha256(text).digest()
        for name, text in [(b"gen_ai.input.messages", b"hello"), (b"gen_ai.output.messages", b"world")]
    )
    assert found.content_digest == hashlib.sha256(parts).digest()
    assert event(GEN_AI).content_digest is None


def test_a_value_of_the_wrong_type_is_kept_beside_the_field_and_the_span_is_taken():
    found = event(
        {"gen_ai.usage.input_tokens": "many", "gen_ai.usage.output_tokens": "12", "arm.generation": -1}
    )
    assert (found.input_tokens, found.output_tokens, found.generation) == (None, 12, None)
    assert kept(found) == {"invalid:gen_ai.usage.input_tokens": "many", "invalid:arm.generation": "-1"}


def test_leftover_attributes_stay_below_32_kib_and_say_what_was_dropped():
    found = event({f"arm.note.{n}": "x" * 3000 for n in range(20)} | {"server.port": 443})
    assert len(found.attributes) <= 32 * 1024
    members = kept(found)
    assert members["server.port"] == 443
    assert members["arm.attributes_dropped"] == 21 - (len(members) - 1)


def test_a_nul_character_does_not_reach_the_database():
    found = event({"arm.job.id": "a\x00b", "server.address": "c\x00d"})
    assert "\x00" not in found.job
    assert b"\\u0000" not in found.attributes


def test_two_long_names_that_begin_alike_stay_two():
    first, second = event({"arm.job.id": "j" * 300 + "1"}).job, event({"arm.job.id": "j" * 300 + "2"}).job
    assert len(first) == 200
    assert first != second


def test_the_event_id_is_a_uuid_8_of_time_and_origin():
    body = one(GEN_AI)
    (found,) = read(body).events
    (again,) = read(body).events
    value = int.from_bytes(found.event_id, "big")
    assert found.event_id == again.event_id, "a retry has the same id"
    assert value >> 80 == START // 1_000_000
    assert value >> 76 & 0xF == 8
    assert value >> 62 & 0b11 == 0b10
    digest = hashlib.sha256(bytes(0)).copy()
    from_tenant = (7 << 64).to_bytes(16, "big") + (9 << 64).to_bytes(16, "big")
    digest.update(from_tenant + found.trace_id + found.span_id)
    head, tail = int.from_bytes(digest.digest()[:2], "big"), int.from_bytes(digest.digest()[2:10], "big")
    assert value >> 64 & 0xFFF == head & 0xFFF
    assert value & (1 << 62) - 1 == tail >> 2
