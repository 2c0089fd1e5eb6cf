"""One question to an agent's endpoint: its answer as a JSON object, or the code of what went wrong. Never raises for what
a peer does."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from arm.crypto import canonical, digest
from arm.errors import DomainError
from arm.outbound import MOST, Allowed, Failed, Resolver, send, system_resolver
from registry import genome

from .models import EXCERPT
from .scoring import Verdict, count
from .scoring.values import Json

MOST_VALUES: Final = 20_000
"""JSON values in an answer: more would keep a scorer busy for minutes."""
AGENT: Final = "ARM-evaluation/1"
UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of whom. `key` names this very question: asked again after an interruption, it is the same."""

    url: str
    key: str
    input: Json
    seconds: float
    allowed: Allowed


@dataclass(frozen=True, slots=True)
class Reply:
    """`problem` is '' where `answer` is a JSON object; `excerpt` and `digest` are of the body, whatever it was."""

    answer: dict[str, Json] | None = None
    problem: str = ""
    detail: str = ""
    http_status: int | None = None
    latency_ms: int | None = None
    digest: str = ""
    excerpt: str = ""
    verdicts: Sequence[Verdict] | None = None
    """What the scorers of its case said; None where they were not asked yet."""


Asker = Callable[[Question], Reply]


def ask(question: Question, resolve: Resolver = system_resolver) -> Reply:
    """POST `{"id": …, "input": …}` and read the answer."""
    body = canonical({"id": question.key, "input": question.input})
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": AGENT,
        "Idempotency-Key": question.key,
    }
    try:
        answer = send(
            "POST",
            question.url,
            body=body,
            headers=headers,
            allowed=question.allowed,
            seconds=question.seconds,
            most=MOST,
            resolve=resolve,
        )
    except Failed as problem:
        return Reply(problem=problem.code, detail=clean(problem.message, 500))
    return read(answer.status, answer.headers.get("content-type", ""), answer.body, answer.seconds)


def read(status: int, media_type: str, body: bytes, seconds: float = 0) -> Reply:
    """What an answer is worth. An error that happens to hold the right text is still an error."""
    parsed, problem, detail = None, "", ""
    kind = media_type.partition(";")[0].strip().lower()
    if status != 200:
        problem, detail = "http_status", f"It answered {status}; an answer comes with 200."
    elif kind != "application/json" and not kind.endswith("+json"):
        problem, detail = "not_json", f"It answered as “{kind or 'nothing'}”, not as application/json."
    else:
        try:
            parsed = genome.read(body, media_type="application/json").document
        except DomainError as refusal:
            said = [error["message"] for error in refusal.extra.get("errors", ())]  # type: ignore[attr-defined]
            problem, detail = "not_json", said[0] if said else refusal.message
    if parsed is not None and count(parsed, MOST_VALUES) > MOST_VALUES:
        parsed, problem = None, "too_large"
        detail = f"The answer holds more than {MOST_VALUES:,} values."
    return Reply(
        answer=parsed,
        problem=problem,
        detail=clean(detail, 500),
        http_status=status,
        latency_ms=round(seconds * 1000),
        digest=digest(body),
        excerpt=clean(body[: EXCERPT * 4].decode(errors="replace"), EXCERPT),
    )


def clean(text: str, most: int) -> str:
    """The text as it may be stored and shown: cut, and without what neither a database nor a page takes."""
    return UNPRINTABLE.sub("\ufffd", text)[:most]
