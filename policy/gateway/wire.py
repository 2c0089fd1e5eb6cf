"""Bytes in, bytes out: requests decoded by type, answers and problems as JSON."""

import re
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Raw, Struct

from arm import ids
from arm.errors import DomainError, Invalid, Problem

from ..engine import Access, Action, DataUse, Estimate, Reason, Request, SpawnRequest, Verdict

BATCH: Final = 100
PROBLEM: Final = "application/problem+json"
JSON: Final = "application/json"
NULL: Final = b"\\u0000"  # a bare NUL is no JSON
Name = Annotated[str, Meta(max_length=200, pattern="^[^\\x00]*$")]


class Malformed(DomainError):
    """Not JSON at all."""

    code = "malformed"


class UseIn(Struct, forbid_unknown_fields=True, rename={"data_class": "class"}):
    data_class: Annotated[str, Meta(min_length=1, max_length=200)]
    access: Access


class AskIn(Struct, forbid_unknown_fields=True):
    """One request as it is sent. `instance` may be left out by who can speak for one only."""

    instance: Annotated[str, Meta(max_length=64)] | None = None
    action: Action = Action.TOOL_CALL
    tool: Annotated[str, Meta(max_length=128, pattern="^[^\\x00]*$")] = ""
    args: dict[str, Any] = {}
    job: Name = ""
    outcome: Name = ""
    run: Name = ""
    data: Annotated[list[UseIn], Meta(max_length=50)] = []
    estimate: Estimate = Estimate()
    spawn: SpawnRequest | None = None

    def request(self) -> Request:
        """What the engine is asked."""
        return Request(
            self.action,
            self.tool,
            self.args,
            self.job.strip(),
            self.outcome.strip(),
            self.run.strip(),
            tuple(DataUse(use.data_class, use.access) for use in self.data) if self.data else (),
            self.estimate,
            self.spawn,
        )


class BatchIn(Struct, forbid_unknown_fields=True):
    requests: Annotated[list[Raw], Meta(min_length=1, max_length=BATCH)]


_one = msgspec.json.Decoder(AskIn)
_many = msgspec.json.Decoder(BatchIn)
encode = msgspec.json.Encoder().encode
_AT = re.compile(r"(?P<said>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_FIELD = re.compile(r"(?:unknown|required) field `([^`]+)`")


def read_one(body: bytes | Raw) -> AskIn:
    """The typed request. Malformed (400) or Invalid (422) with a pointer."""
    try:
        asked = _one.decode(body)
    except msgspec.ValidationError as problem:
        raise _invalid(str(problem)) from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Malformed(f"The body is not JSON: {problem}.") from problem
    if NULL in bytes(body) and (pointer := _null_at(msgspec.json.decode(body))) is not None:
        raise refused(pointer, "null_character", "U+0000 is in here; the record cannot hold it.")
    money = asked.estimate.money
    if money is not None and not (money.is_finite() and money >= 0):
        raise refused("/estimate/money", "amount", "This must be zero or more.")
    if asked.estimate.tokens is not None and asked.estimate.tokens < 0:
        raise refused("/estimate/tokens", "amount", "This must be zero or more.")
    return asked


def read_many(body: bytes) -> list[Raw]:
    """The requests of a batch, each still to be read for itself."""
    try:
        return _many.decode(body).requests
    except msgspec.ValidationError as problem:
        raise _invalid(str(problem)) from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Malformed(f"The body is not JSON: {problem}.") from problem


def refused(pointer: str, code: str, sentence: str) -> Invalid:
    """One wrong member."""
    return Invalid(sentence, [Problem(pointer=pointer, code=code, message=sentence)])


def _null_at(document: Any) -> str | None:
    """The pointer of the first text with U+0000, or of the object with such a key; None where there is none."""
    left: list[tuple[str, Any]] = [("", document)]
    while left:
        at, value = left.pop()
        if isinstance(value, str):
            if "\0" in value:
                return at
        elif isinstance(value, dict):
            if any("\0" in key for key in value):
                return at
            left += [
                (f"{at}/{key.replace('~', '~0').replace('/', '~1')}", item) for key, item in value.items()
            ]
        elif isinstance(value, list):
            left += [(f"{at}/{number}", item) for number, item in enumerate(value)]
    return None


def _invalid(said: str) -> Invalid:
    found = _AT.fullmatch(said)
    sentence, path = (found["said"], found["path"] or "") if found else (said, "")
    pointer = "".join(f"/{step[0] or step[1]}" for step in _STEP.findall(path))
    if field := _FIELD.search(sentence):
        pointer += f"/{field[1]}"
    return refused(pointer, "invalid", sentence.rstrip(".") + ".")


_reasons: dict[tuple[Reason, ...], bytes] = {}


def reasons_json(reasons: tuple[Reason, ...]) -> bytes:
    """The reasons as JSON, for the answer and for the record; those that come again are remembered."""
    found = _reasons.get(reasons)
    if found is None:
        found = encode([{"code": r.code, "rule": r.rule, "sentence": r.sentence} for r in reasons])
        if len(_reasons) >= 4096:
            _reasons.clear()
        _reasons[reasons] = found
    return found


def answer(
    decision_id: UUID,
    verdict: Verdict,
    *,
    instance: str,
    age_ms: int,
    digest: str,
    approval: dict[str, Any] | None,
) -> dict[str, Any]:
    """The body of an answer."""
    said: dict[str, Any] = {
        "id": ids.encode("dec", decision_id),
        "decision": verdict.decision.word,
        "risk": verdict.risk.word,
        "reasons": Raw(reasons_json(verdict.reasons)),
        "obligations": verdict.obligations,
        "matched": verdict.matched,
        "instance": instance,
        "action_digest": verdict.action,
        "policy_digest": verdict.policy,
        "verdict_digest": digest,
        "age_ms": age_ms,
    }
    if verdict.would != verdict.decision:
        said["would"] = verdict.would.word
    if approval is not None:
        said["approval"] = approval
    if verdict.retry_after_s is not None:
        said["retry_after"] = verdict.retry_after_s
    return said


def problem(refusal: DomainError, request_id: str) -> dict[str, Any]:
    """RFC 9457 members of a refusal."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.message,
        "request_id": request_id,
        **refusal.extra,
    }
