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

TYPES = {kind.name.lower(): kind for kind in EventType}

GEN_AI = {
    "chat": _T.MODEL_CALL,
    "text_completion": _T.MODEL_CALL,
    "generate_content": _T.MODEL_CALL,
    "embeddings": _T.MODEL_CALL,
    "invoke_agent": _T.AGENT_RUN,
    "invoke_workflow": _T.AGENT_RUN,
    "create_agent": _T.AGENT_RUN,
    "plan": _T.AGENT_RUN,
    "execute_tool": _T.TOOL_CALL,
    "retrieval": _T.RETRIEVAL,
    "create_memory": _T.MEMORY_OP,
    "update_memory": _T.MEMORY_OP,
    "upsert_memory": _T.MEMORY_OP,
    "delete_memory": _T.MEMORY_OP,
    "search_memory": _T.MEMORY_OP,
    "create_memory_store": _T.MEMORY_OP,
    "delete_memory_store": _T.MEMORY_OP,
}

OPEN_INFERENCE = {
    "llm": _T.MODEL_CALL,
    "embedding": _T.MODEL_CALL,
    "tool": _T.TOOL_CALL,
    "retriever": _T.RETRIEVAL,
    "reranker": _T.RETRIEVAL,
    "agent": _T.AGENT_RUN,
    "chain": _T.STEP,
    "prompt": _T.STEP,
    "decision": _T.STEP,
    "guardrail": _T.GUARDRAIL,
    "evaluator": _T.EVALUATION,
}

LANGFUSE = {
    "generation": _T.MODEL_CALL,
    "embedding": _T.MODEL_CALL,
    "tool": _T.TOOL_CALL,
    "retriever": _T.RETRIEVAL,
    "agent": _T.AGENT_RUN,
    "chain": _T.STEP,
    "span": _T.STEP,
    "event": _T.STEP,
    "guardrail": _T.GUARDRAIL,
    "evaluator": _T.EVALUATION,
}

MCP = {
    "tools/call": _T.TOOL_CALL,
    "resources/read": _T.RETRIEVAL,
    "sampling/createMessage": _T.MODEL_CALL,
    "elicitation/create": _T.MESSAGE,
    "initialize": _T.STEP,
    "ping": _T.HEALTH,
    "tools/list": _T.STEP,
    "resources/list": _T.STEP,
    "prompts/list": _T.STEP,
    "prompts/get": _T.STEP,
}
