"""The closed lists of the event schema: types, statuses, reasons, and which operation name means which type."""

from enum import IntEnum, IntFlag, StrEnum


class EventType(IntEnum):
    """What an event is. The numbers are stored: add at the end, never renumber."""

    AGENT_RUN = 1
    STEP = 2
    MODEL_CALL = 3
    TOOL_CALL = 4
    RETRIEVAL = 5
    MEMORY_OP = 6
    HANDOFF = 7
    GUARDRAIL = 8
    POLICY_DECISION = 9
    APPROVAL = 10
    EVALUATION = 11
    OUTCOME = 12
    ERROR = 13
    HEALTH = 14
    MESSAGE = 15
    STATE_CHANGE = 16
    COST_ADJUSTMENT = 17


class Status(IntEnum):
    """How it ended. The numbers are stored."""

    OK = 1
    ERROR = 2
    DENIED = 3
    CANCELLED = 4


class Reason(StrEnum):
    """Why a span is in quarantine."""

    NO_INSTANCE = "no_instance"
    NO_VERSION = "no_version"
    UNKNOWN_INSTANCE = "unknown_instance"
    FOREIGN_TENANT = "foreign_tenant"
    UNBOUND_VERSION = "unbound_version"
    CLOCK = "clock"
    UNDECODABLE = "undecodable"


class Flag(IntFlag):
    """What was noticed while linking. The bits are stored."""

    VERSION_DRIFT = 1
    MODEL_DRIFT = 2
    TOOL_DRIFT = 4
    BY_ALIAS = 8
    """The instance was found by an alias that the provider declared."""
    BY_CREDENTIAL = 16
    """The span named no instance; the key it came with is bound to one."""
    UNATTRIBUTED = 32
    """Neither a job nor an outcome."""


_T = EventType

# Plain integers from here on: hashing or combining a member of an enum costs ten times as much, for every span.
TYPES = {kind.name.lower(): kind.value for kind in EventType}

GEN_AI = {
    "chat": _T.MODEL_CALL.value,
    "text_completion": _T.MODEL_CALL.value,
    "generate_content": _T.MODEL_CALL.value,
    "embeddings": _T.MODEL_CALL.value,
    "invoke_agent": _T.AGENT_RUN.value,
    "invoke_workflow": _T.AGENT_RUN.value,
    "create_agent": _T.AGENT_RUN.value,
    "plan": _T.AGENT_RUN.value,
    "execute_tool": _T.TOOL_CALL.value,
    "retrieval": _T.RETRIEVAL.value,
    "create_memory": _T.MEMORY_OP.value,
    "update_memory": _T.MEMORY_OP.value,
    "upsert_memory": _T.MEMORY_OP.value,
    "delete_memory": _T.MEMORY_OP.value,
    "search_memory": _T.MEMORY_OP.value,
    "create_memory_store": _T.MEMORY_OP.value,
    "delete_memory_store": _T.MEMORY_OP.value,
}

OPEN_INFERENCE = {
    "llm": _T.MODEL_CALL.value,
    "embedding": _T.MODEL_CALL.value,
    "tool": _T.TOOL_CALL.value,
    "retriever": _T.RETRIEVAL.value,
    "reranker": _T.RETRIEVAL.value,
    "agent": _T.AGENT_RUN.value,
    "chain": _T.STEP.value,
    "prompt": _T.STEP.value,
    "decision": _T.STEP.value,
    "guardrail": _T.GUARDRAIL.value,
    "evaluator": _T.EVALUATION.value,
}

LANGFUSE = {
    "generation": _T.MODEL_CALL.value,
    "embedding": _T.MODEL_CALL.value,
    "tool": _T.TOOL_CALL.value,
    "retriever": _T.RETRIEVAL.value,
    "agent": _T.AGENT_RUN.value,
    "chain": _T.STEP.value,
    "span": _T.STEP.value,
    "event": _T.STEP.value,
    "guardrail": _T.GUARDRAIL.value,
    "evaluator": _T.EVALUATION.value,
}

MCP = {
    "tools/call": _T.TOOL_CALL.value,
    "resources/read": _T.RETRIEVAL.value,
    "sampling/createMessage": _T.MODEL_CALL.value,
    "elicitation/create": _T.MESSAGE.value,
    "initialize": _T.STEP.value,
    "ping": _T.HEALTH.value,
    "tools/list": _T.STEP.value,
    "resources/list": _T.STEP.value,
    "prompts/list": _T.STEP.value,
    "prompts/get": _T.STEP.value,
}
