"""Steps 8 and 9: limits and loops. The counters come as facts; here they are only compared."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from policy.engine.envelope import Envelope
from policy.engine.standing import Facts
from policy.engine.terms import Action, Breach, LimitKey, Loop, Per, Reason, Request, Unit

MAX_AGE = 5.0
_COUNTED = frozenset({Action.TOOL_CALL, Action.MODEL_CALL})
_ZERO, _ONE = Decimal(0), Decimal(1)


class Broken(NamedTuple):
    """`certain`: the limit is known to be used up, not merely unknown."""

    breach: Breach
    reason: Reason
    certain: bool


def need(key: LimitKey, request: Request) -> Decimal | None:
    """Return how much of a limit the request would use; None when the request does not say."""
    if request.action not in _COUNTED:
        return _ZERO
    if key.unit == Unit.CALLS:
        return _ONE
    if key.unit == Unit.TOKENS:
        tokens = request.estimate.tokens
        return None if tokens is None else Decimal(tokens)
    return request.estimate.money if request.estimate.currency == key.currency else None


def limits_broken(envelope: Envelope, request: Request, facts: Facts) -> Iterator[Broken]:
    """Yield each limit that this request would exceed, or of which not enough is known."""
    for key, limit in envelope.limits.items():
        wanted = need(key, request)
        rule = f"limit:{key}"
        if key.per == Per.CALL:
            if wanted is None:
                sentence = (
                    f"There is a limit on {key}; the request must say what it expects to use (estimate)."
                )
                yield Broken(limit.breach, Reason("estimate_required", sentence, rule), False)
            elif wanted > limit.most:
                sentence = f"One call may use {limit.most} ({key}); this one expects {wanted}."
                yield Broken(limit.breach, Reason("limit_call", sentence, rule), False)
            continue
        left = facts.limits.get(key)
        if left is None or facts.now - left.as_of > MAX_AGE:
            sentence = f"How much is left of the limit on {key} is not known for certain now."
            yield Broken(limit.breach, Reason("limit_unknown", sentence, rule), False)
        elif left.value <= 0 or left.value < (wanted or _ZERO):
            sentence = f"The limit of {limit.most} ({key}) is used up: {max(left.value, 0)} left."
            yield Broken(limit.breach, Reason("limit_reached", sentence, rule), True)


_SENTENCES = {
    Loop.REPEAT: "The same call was made {seen} times in {window} s; {most} are allowed.",
    Loop.THRASH: "{seen} tool calls in {window} s; {most} are allowed.",
    Loop.ERROR_STREAK: "{seen} calls failed one after the other in {window} s; {most} are allowed.",
    Loop.PING_PONG: "It went back and forth between two calls {seen} times in {window} s; {most} are allowed.",
}


def loops_broken(envelope: Envelope, facts: Facts) -> Iterator[Broken]:
    """Yield each loop rule whose count (this call included) is above its maximum, or is not known."""
    for key, rule in envelope.loops.items():
        seen = facts.loops.get(key)
        name = f"loop:{key.rule}/{key.window_s}"
        if seen is None or facts.now - seen.as_of > MAX_AGE:
            sentence = f"Whether this agent is in a loop ({key.rule}) is not known for certain now."
            yield Broken(rule.breach, Reason("loop_unknown", sentence, name), False)
        elif seen.value > rule.most:
            sentence = _SENTENCES[key.rule].format(seen=seen.value, window=key.window_s, most=rule.most)
            yield Broken(rule.breach, Reason(f"loop_{key.rule}", sentence, name), True)
