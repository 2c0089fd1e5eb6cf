"""Short ways to say “this agent, under this policy, asks this” for the engine's tests."""

from typing import Any

from policy.engine import (
    SCHEMA,
    Action,
    Catalogue,
    Effect,
    Envelope,
    Facts,
    InForce,
    Mode,
    Request,
    Standing,
    Verdict,
    compile_envelope,
    evaluate,
)

NOW = 1_000.0
EVERYWHERE: dict[str, Any] = {
    "network": [{"host": "*"}],
    "paths": [{"path": ".", "access": "write"}, {"path": "/", "access": "write"}],
    "commands": [{"argv": ["**"]}],
}


def content(**members: Any) -> dict[str, Any]:
    """A policy that allows every tool everywhere at tier 5, but for what `members` say otherwise."""
    anything = [{"match": {"tool": "*"}, "effect": "allow"}]
    return {"schema": SCHEMA, "tier": 5, "tools": anything, **EVERYWHERE, **members}


def policy(**members: Any) -> Envelope:
    return compile_envelope(content(**members))


def standing(production: bool = False, catalogue: Catalogue | None = None, **members: Any) -> Standing:
    known: dict[str, Any] = {
        "instance": "ins_1",
        "state": "active",
        "catalogue": catalogue or Catalogue(production=production),
        "version": "approved",
        "slot": "bound",
        "certification": "not_required",
        "unapproved_versions": False,
    }
    return Standing(**{**known, **members})


def stop(mode: Mode, **members: str) -> InForce:
    return InForce(**{"id": "pos_1", "mode": mode, "scope": "Tenant Acme", **members})


def call(tool: str, args: dict[str, object] | None = None, **members: Any) -> Request:
    return Request(Action.TOOL_CALL, tool, args or {}, job="job-7", **members)


def ask(
    request: Request, under: Envelope | None = None, *, on: Standing | None = None, **facts: Any
) -> Verdict:
    return evaluate(under or policy(), request, Facts(now=NOW, as_of=NOW, standing=on or standing(), **facts))


def decided(*args: Any, **members: Any) -> str:
    return Effect(ask(*args, **members).decision).word


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]
