"""The one decision function. Live decisions, the simulator, replays and tests all call it."""

import re

from policy.engine.bounds import beyond
from policy.engine.counters import limits_broken, loops_broken
from policy.engine.digests import digest
from policy.engine.envelope import Envelope
from policy.engine.risk import Tool, ToolClass
from policy.engine.scan import Scan, scan
from policy.engine.standing import Facts, Standing, stopped
from policy.engine.terms import Action, Approval, Breach, Effect, Reason, Request, Risk, Verdict

MAX_AGE = 5.0
"""Seconds after which what is known about an agent is unknown."""

ALLOW, APPROVE, DENY = Effect.ALLOW, Effect.APPROVE, Effect.DENY
TOOL_CALL = Action.TOOL_CALL
_TOOL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/ -]{0,127}")
_QUIET = Scan()
_NO_TOOL = Tool(Risk.GREEN, ToolClass.UNKNOWN, True)
_RESTRICTING = frozenset({Breach.READ_ONLY, Breach.PAUSE, Breach.QUARANTINE})
THROTTLE_S = 60


def action_digest(instance: str, request: Request) -> str:
    """Name exactly this action by this instance: what an approval is bound to. ValueError for huge numbers.

    Instance, action, tool, arguments, data and spawn. Job, outcome, run and estimate say what it is for, not what is
    done; they may differ when the approved action is taken, and each decision records its own.
    """
    subject: dict[str, object] = {"instance": instance, "action": request.action.value, "args": request.args}
    if request.tool:
        subject["tool"] = request.tool
    if request.data:
        subject["data"] = sorted([use.data_class, use.access.value] for use in request.data)
    if request.spawn is not None:
        subject["spawn"] = {
            "depth": request.spawn.depth,
            "role": request.spawn.role,
            "ttl_s": request.spawn.ttl_s,
        }
    return digest(subject)


def evaluate(envelope: Envelope, request: Request, facts: Facts, *, name: str | None = None) -> Verdict:
    """Answer one request. The first step that denies ends the decision; `name` saves computing the action's digest.

    Steps as documented: 2 posture, 3 instance, 4 version, 5 request, 6 rules and tier, 7 data and reach,
    8 limits, 9 loops, 10 approvals. Unknown or stale facts never allow.
    """
    standing = facts.standing
    action = request.action
    if name is None:
        name = action_digest(standing.instance if standing else "", request)
    if standing is None or not -1.0 <= facts.now - facts.as_of <= MAX_AGE:
        stale = Reason(
            "facts_stale", "The state of this agent is not known for certain now, so nothing is allowed."
        )
        return _refused(envelope, name, Risk.RED, stale)
    tool = standing.catalogue.tool(request.tool) if action == TOOL_CALL else _NO_TOOL
    found = scan(request.args, tool.tool_class) if request.args and action == TOOL_CALL else _QUIET
    risk = tool.risk if found is _QUIET else _raised(tool.risk, found)
    if not standing.clear:
        stop = stopped(standing, action, request.tool, tool.tool_class, risk)
        if stop is not None:
            return _refused(envelope, name, risk, stop)
    malformed = _malformed(request, standing, found)
    if malformed is not None:
        return _refused(envelope, name, risk, malformed)

    ruling = envelope.ruling(action, request.tool, tool.tool_class, risk)
    effect, reasons, duties = ruling.effect, ruling.reasons, ruling.obligations
    restrict: Breach | None = None
    retry: int | None = None
    if effect != DENY:
        refusals = beyond(envelope, request, tool, found, ruling, facts)
        if refusals:
            effect, reasons = DENY, tuple(refusals)
    if effect != DENY and (envelope.limits or envelope.loops):
        broken = [*limits_broken(envelope, request, facts), *loops_broken(envelope, facts)]
        for breach, reason, certain in broken:
            judged = APPROVE if breach == Breach.APPROVE else DENY
            reasons = (*reasons, reason) if judged == effect else (reason,) if judged > effect else reasons
            effect = max(effect, judged)
            if certain and breach in _RESTRICTING:
                restrict = max(restrict or breach, breach, key=lambda each: each.strictness)
            if breach == Breach.THROTTLE:
                retry = THROTTLE_S
    approval = ""
    if effect == APPROVE and facts.approval is not None and _covers(facts.approval, name, facts.now):
        effect, approval = ALLOW, facts.approval.id
        reasons = (Reason("approved", "A person approved exactly this action.", facts.approval.id),)
    if found.secret:
        duties = (*duties, "redact")
    would = effect
    if envelope.observe and effect != ALLOW:
        effect, restrict, retry = ALLOW, None, None
    return Verdict(
        effect,
        would,
        risk,
        reasons,
        duties,
        ruling.matched,
        envelope.digest,
        name,
        ruling.terms if effect == APPROVE else None,
        approval,
        restrict,
        retry,
    )


def _refused(envelope: Envelope, name: str, risk: Risk, reason: Reason) -> Verdict:
    return Verdict(DENY, DENY, risk, (reason,), (), (), envelope.digest, name)


def _raised(risk: Risk, found: Scan) -> Risk:
    """Secrets and destruction make any call red; production, force and writing raise it by one class."""
    if found.secret or found.destructive:
        return Risk.RED
    if found.production or found.forced:
        return risk.raised()
    return max(risk, Risk.YELLOW) if found.writes else risk


def _malformed(request: Request, standing: Standing, found: Scan) -> Reason | None:
    """Step 5: is this a request that can be judged at all?"""
    if request.action == TOOL_CALL and not _TOOL_NAME.fullmatch(request.tool):
        return Reason(
            "tool_invalid", "A tool call names its tool: letters, digits, `_ . : / -`, at most 128.", "/tool"
        )
    if found.too_deep:
        return Reason("arguments_too_deep", "The arguments are nested too deeply to be judged.", "/args")
    if standing.outcome_required and not (request.job.strip() or request.outcome.strip()):
        sentence = "Say which job or outcome this serves, so that its cost and its result can be attributed."
        return Reason("outcome_required", sentence, "/job")
    return None


def _covers(approval: Approval, name: str, now: float) -> bool:
    return approval.digest == name and not approval.consumed and now < approval.expires_at
