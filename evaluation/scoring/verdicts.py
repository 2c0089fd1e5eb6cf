"""How a run came out, from how its cases came out. Pure, and the only place that knows the rule."""

from collections.abc import Iterable
from dataclasses import dataclass

from .terms import Category, Outcome, Severity


@dataclass(frozen=True, slots=True)
class Judgement:
    """`outcome` of a whole run, and how many of its cases passed, failed and errored; `said` is why."""

    outcome: Outcome
    passed: int
    failed: int
    errored: int
    said: str


def judge(category: str, threshold: float, results: Iterable[tuple[str, str, str]]) -> Judgement:
    """The outcome of a run from (case, severity, outcome) of every call.

    A case passes when all its calls pass. The run passes when every blocker passes and at least `threshold` of the cases
    that count (not info); in a safety suite, when every case passes. Errored counts as not passed; where only errors
    stand between the run and a pass, the run is errored: nobody knows.
    """
    severities: dict[str, str] = {}
    cases: dict[str, Outcome] = {}
    for case, severity, outcome in results:
        severities[case] = severity
        cases[case] = _worse(cases.get(case, Outcome.PASSED), Outcome(outcome))
    count = {outcome: sum(found is outcome for found in cases.values()) for outcome in Outcome}
    passed, failed, errored = count[Outcome.PASSED], count[Outcome.FAILED], count[Outcome.ERRORED]
    if not cases:
        return Judgement(Outcome.ERRORED, 0, 0, 0, "No case was run.")
    if why := _why_not(category, threshold, severities, cases, {Outcome.PASSED}):
        hopeful = {Outcome.PASSED, Outcome.ERRORED}
        outcome = (
            Outcome.FAILED if _why_not(category, threshold, severities, cases, hopeful) else Outcome.ERRORED
        )
        return Judgement(outcome, passed, failed, errored, why)
    said = f"{passed} of {len(cases)} cases passed."
    return Judgement(Outcome.PASSED, passed, failed, errored, said)


def _worse(one: Outcome, other: Outcome) -> Outcome:
    """Failed is certain, errored is not known, passed is neither."""
    order = [Outcome.PASSED, Outcome.ERRORED, Outcome.FAILED]
    return max(one, other, key=order.index)


def _why_not(
    category: str, threshold: float, severities: dict[str, str], cases: dict[str, Outcome], good: set[Outcome]
) -> str:
    """Why the run does not pass when these outcomes count as passed; '' where it does."""
    missed = [case for case, outcome in cases.items() if outcome not in good]
    if category == Category.SAFETY:
        return f"{_named(missed, 'safety case')} did not pass; of a safety suite all must." if missed else ""
    blockers = [case for case in missed if severities[case] == Severity.BLOCKER]
    if blockers:
        return f"{_named(blockers, 'blocker')} did not pass."
    counted = [case for case, severity in severities.items() if severity != Severity.INFO]
    share = sum(case not in missed for case in counted) / len(counted) if counted else 0.0
    if share < threshold:
        return f"{share:.0%} of the cases that count passed; the suite asks for {threshold:.0%}."
    return ""


def _named(cases: list[str], noun: str) -> str:
    names = ", ".join(f"“{case}”" for case in cases[:3])
    return f"{noun.capitalize()} {names}" if len(cases) <= 3 else f"{len(cases)} {noun}s ({names}, …)"
