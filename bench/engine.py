"""One evaluation in process: everything compiled, nothing asked of the database."""

import time
from collections.abc import Callable

from policy.engine import (
    SCHEMA,
    Action,
    Catalogue,
    Facts,
    Request,
    Standing,
    action_digest,
    compile_envelope,
    evaluate,
)

from .harness import Figure

ENVELOPE = compile_envelope(
    {
        "schema": SCHEMA,
        "tier": 2,
        "tools": [
            {"match": {"tool": "*"}, "effect": "allow"},
            {"match": {"class": "secrets"}, "effect": "deny"},
        ],
        "paths": [{"path": "work", "access": "write"}],
    }
)
STANDING = Standing(
    instance="ins_1", state="active", catalogue=Catalogue(production=True), version="approved", slot="bound",
    certification="not_required", unapproved_versions=False,
)  # fmt: skip
FACTS = Facts(now=1.0, as_of=1.0, standing=STANDING)


def run(quick: bool) -> list[Figure]:
    """Microseconds: the fastest of many short rounds, which is what the code costs when nobody else runs."""
    simple = Request(Action.TOOL_CALL, "think", {"about": "lunch", "limit": 3}, job="job-7")
    path = Request(Action.TOOL_CALL, "read_file", {"path": "work/notes.md"}, job="job-7")
    name = action_digest("ins_1", simple)
    rounds = 200 if quick else 3000
    return [
        Figure(
            "engine_simple", _fastest(lambda: evaluate(ENVELOPE, simple, FACTS, name=name), rounds), "µs", 3
        ),
        Figure("engine_path", _fastest(lambda: evaluate(ENVELOPE, path, FACTS, name=name), rounds), "µs"),
        Figure("engine_action_digest", _fastest(lambda: action_digest("ins_1", simple), rounds), "µs"),
    ]


def _fastest(call: Callable[[], object], rounds: int, count: int = 200) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(count):
            call()
        taken.append((time.perf_counter() - began) / count)
    return min(taken) * 1e6
