"""Which attribute of which dialect feeds which field, in order of precedence; what may be kept, what is content.

Precedence is ARM's own names, then `gen_ai.*` (1.37 and later, then 1.36 and earlier), then the frameworks:
OpenInference, Langfuse, MCP. A name that stands nowhere here is not kept.
"""

from typing import Final

LANGFUSE_USAGE: Final = "langfuse.observation.usage_details"
LANGFUSE_COST: Final = "langfuse.observation.cost_details"
METADATA: Final = "metadata"

STEERING: Final[dict[str, tuple[str, ...]]] = {
    "instance": ("arm.instance.id",),
    "version": ("arm.version.id",),
    "environment": ("deployment.environment.name", "deployment.environment", "langfuse.environment"),
    "own_status": ("arm.status",),
    "own_type": ("arm.event.type",),
    "operation": ("gen_ai.operation.name",),
    "span_kind": ("openinference.span.kind",),
    "observation": ("langfuse.observation.type",),
    "mcp_method": ("mcp.method.name",),
}
"""What decides where an event belongs and what it is."""

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "job": ("arm.job.id", "metadata:arm.job.id"),
    "cost_center": ("arm.cost_center", "metadata:arm.cost_center"),
    "outcome": ("arm.outcome.name", "metadata:arm.outcome.name"),
    "conversation": ("gen_ai.conversation.id", "langfuse.session.id", "session.id", "mcp.session.id"),
    "generation": ("arm.generation",),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "model_requested": (
        "gen_ai.request.model",
        "llm.request.model_name",
        "llm.model_name",
        "embedding.model_name",
        "langfuse.observation.model.name",
    ),
    "model_used": (
        "gen_ai.response.model",
        "llm.response.model_name",
        "llm.model_name",
        "embedding.model_name",
        "langfuse.observation.model.name",
    ),
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "langfuse:input",
    ),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "langfuse:cache_read",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "langfuse:cache_write",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "langfuse:output",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "langfuse:reasoning",
    ),
    "ttft_ms": ("gen_ai.response.time_to_first_chunk",),
    "finish_reasons": ("gen_ai.response.finish_reasons", "llm.finish_reason"),
    "tool_name": ("gen_ai.tool.name", "tool.name", "mcp.tool.name"),
    "tool_digest": ("arm.tool.digest",),
    "error_type": ("error.type", "exception.type", "event:exception.type"),
    "cost_picos": ("arm.cost.amount", "llm.cost.total", "langfuse:cost"),
    "currency": ("arm.cost.currency",),
}
"""Field of the event → the attributes that may fill it, best first, in the order that `mapping.mapped` reads. `langfuse:`,
`metadata:` and `event:` names are made by the mapper out of JSON-valued attributes and span events."""

TOKENS: Final = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
"""Fields that count tokens, in the order of `events.Tokens`."""
COUNTS: Final = frozenset(name for field in ("generation", *TOKENS) for name in FIELDS[field])
SECONDS: Final = frozenset(FIELDS["ttft_ms"])
MONEY: Final = frozenset(FIELDS["cost_picos"])
IDENTIFIERS: Final = {"arm.version.id": "ver", "arm.instance.id": "ins"}
ALIASES: Final = ("gen_ai.main_agent.id", "service.instance.id", "gen_ai.agent.id", "k8s.pod.uid")
LISTS: Final = frozenset({"gen_ai.response.finish_reasons"})
JSON_VALUED: Final = frozenset({LANGFUSE_USAGE, LANGFUSE_COST, METADATA})
SOURCES: Final = frozenset(name for names in (STEERING | FIELDS).values() for name in names)

UNIQUE: Final = frozenset(
    {"gen_ai.response.id", "gen_ai.tool.call.id", "tool_call.id", "arm.decision.id", "jsonrpc.request.id"}
)
"""Attributes that are hardly ever equal twice: remembering their decoded form would only fill the memory."""

VARIABLE: Final = UNIQUE | frozenset(FIELDS["conversation"]) | {"arm.job.id"}
"""Texts that differ between spans which are otherwise alike."""

CONTENT: Final = frozenset(
    {
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.prompt",
        "gen_ai.completion",
        "gen_ai.retrieval.query.text",
        "gen_ai.retrieval.documents",
        "gen_ai.evaluation.explanation",
        "llm.prompts",
        "llm.invocation_parameters",
        "llm.function_call",
        "tool.parameters",
        "tool.json_schema",
        "exception.message",
        "exception.stacktrace",
    }
)
CONTENT_PREFIXES: Final = (
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.tools.",
    "llm.prompt_template.",
    "llm.prompts.",
    "llm.choices.",
    "input.",
    "output.",
    "retrieval.documents.",
    "reranker.input_documents.",
    "reranker.output_documents.",
    "reranker.query",
    "embedding.embeddings.",
    "embedding.text",
    "tool_call.function.",
    "langfuse.trace.input",
    "langfuse.trace.output",
    "langfuse.trace.metadata",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.observation.metadata",
    "langfuse.observation.prompt",
    "langfuse.observation.model.parameters",
    "langfuse.observation.status_message",
)

KEPT_PREFIXES: Final = (
    "arm.",
    "gen_ai.request.",
    "gen_ai.response.",
    "gen_ai.usage.",
    "gen_ai.agent.",
    "gen_ai.main_agent.",
    "gen_ai.workflow.",
    "gen_ai.tool.call.id",
    "gen_ai.tool.type",
    "gen_ai.tool.name",
    "gen_ai.output.type",
    "gen_ai.data_source.id",
    "gen_ai.embeddings.",
    "gen_ai.evaluation.name",
    "gen_ai.evaluation.score.",
    "gen_ai.prompt.name",
    "gen_ai.system",
    "gen_ai.provider.name",
    "gen_ai.operation.name",
    "openai.",
    "aws.bedrock.",
    "azure.",
    "mcp.",
    "jsonrpc.",
    "network.transport",
    "llm.cost.",
    "llm.token_count.",
    "llm.model_name",
    "llm.provider",
    "llm.system",
    "llm.finish_reason",
    "openinference.",
    "langfuse.observation.type",
    "langfuse.observation.level",
    "langfuse.observation.completion_start_time",
    "langfuse.observation.model.name",
    "langfuse.observation.usage_details",
    "langfuse.observation.cost_details",
    "langfuse.environment",
    "langfuse.release",
    "langfuse.version",
    "langfuse.trace.name",
    "tool.name",
    "tool.id",
    "tool_call.id",
    "error.type",
    "exception.type",
    "server.address",
    "server.port",
    "service.name",
    "service.version",
    "service.namespace",
    "deployment.environment",
    "session.id",
)
