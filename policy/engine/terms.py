"""The words of a decision: what is asked, what is known, what is answered. Values only, no rules."""

from collections.abc import Mapping
from decimal import Decimal
from enum import IntEnum, StrEnum

from msgspec import Struct

from policy.engine.digests import plain_digest


class Effect(IntEnum):
    """Answers in order of strictness, so that the stricter of two is their maximum."""

    ALLOW = 0
    APPROVE = 1
    DENY = 2

    @property
    def word(self) -> str:
        return self.name.lower()


class Risk(IntEnum):
    GREEN = 0
    YELLOW = 1
    RED = 2

    @property
    def word(self) -> str:
        return self.name.lower()

    def raised(self) -> "Risk":
        return Risk.RED if self else Risk.YELLOW


class Action(StrEnum):
    RUN_START = "run_start"
    RUN_STEP = "run_step"
    MODEL_CALL = "model_call"
    TOOL_CALL = "tool_call"


class Per(StrEnum):
    CALL = "call"
    RUN = "run"
    DAY = "day"
    MONTH = "month"


class Unit(StrEnum):
    MONEY = "money"
    TOKENS = "tokens"
    CALLS = "calls"


class Breach(StrEnum):
    """What happens when a limit or a loop rule is broken, mildest first."""

    APPROVE = "approve"
    THROTTLE = "throttle"
    DENY = "deny"
    READ_ONLY = "read_only"
    PAUSE = "pause"
    QUARANTINE = "quarantine"

    @property
    def strictness(self) -> int:
        return list(Breach).index(self)


class Loop(StrEnum):
    REPEAT = "repeat"
    THRASH = "thrash"
    ERROR_STREAK = "error_streak"
    PING_PONG = "ping_pong"


class Access(StrEnum):
    READ = "read"
    WRITE = "write"


class LimitKey(Struct, frozen=True, order=True):
    """Which counter: per what, of what; `currency` only for money."""

    per: Per
    unit: Unit
    currency: str = ""

    def __str__(self) -> str:
        return f"{self.unit}{' ' + self.currency if self.currency else ''} per {self.per}"


class LoopKey(Struct, frozen=True, order=True):
    rule: Loop
    window_s: int


class Reason(Struct, frozen=True):
    """Why: a code for machines, a sentence for people, and the rule (JSON pointer or row) it came from."""

    code: str
    sentence: str
    rule: str = ""


class SpawnRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The child an agent wants to start: its depth below the root, its role, its time to live in seconds."""

    depth: int | None = None
    role: str | None = None
    ttl_s: int | None = None


class DataUse(Struct, frozen=True, rename={"data_class": "class"}, forbid_unknown_fields=True):
    data_class: str
    access: Access


class Estimate(Struct, frozen=True, forbid_unknown_fields=True):
    """What the call is expected to use. Missing means unknown, not zero."""

    money: Decimal | None = None
    currency: str = "USD"
    tokens: int | None = None


class Request(Struct, frozen=True):
    """One action an agent wants to take. `args` are the parsed arguments, exactly as they will be passed."""

    action: Action
    tool: str = ""
    args: dict[str, object] = {}
    job: str = ""
    outcome: str = ""
    run: str = ""
    data: tuple[DataUse, ...] = ()
    estimate: Estimate = Estimate()
    spawn: SpawnRequest | None = None


class Terms(Struct, frozen=True):
    """Who may approve, how many, and for how long (seconds)."""

    roles: frozenset[str] = frozenset()
    quorum: int = 1
    ttl_s: int = 3600
    escalate_after_s: int | None = None
    escalate_to: str = ""


class Approval(Struct, frozen=True):
    """An approval that was given: for exactly one action digest, until a time, once."""

    id: str
    digest: str
    expires_at: float
    consumed: bool = False


class SpawnFacts(Struct, frozen=True):
    children: int
    last_hour: int
    as_of: float


class Count(Struct, frozen=True):
    """A counter as somebody else knows it: what is left of a limit, or how often a loop was seen."""

    value: Decimal | int
    as_of: float


class Verdict(Struct, frozen=True):
    """The answer. `would` differs from `decision` only in observe mode. `policy` is the envelope's digest."""

    decision: Effect
    would: Effect
    risk: Risk
    reasons: tuple[Reason, ...]
    obligations: tuple[str, ...]
    matched: tuple[str, ...]
    policy: str
    action: str
    terms: Terms | None = None
    approval: str = ""
    restrict: Breach | None = None
    retry_after_s: int | None = None

    @property
    def digest(self) -> str:
        """Names this verdict about this action under this policy; ages and the time of asking are not in it."""
        return plain_digest(
            {
                "action": self.action,
                "decision": self.decision.word,
                "matched": list(self.matched),
                "obligations": list(self.obligations),
                "policy": self.policy,
                "reasons": [[reason.code, reason.rule] for reason in self.reasons],
                "risk": self.risk.word,
                "would": self.would.word,
            }
        )


Limits = Mapping[LimitKey, Count]
Loops = Mapping[LoopKey, Count]
