"""Runs: started once, worked off call by call, come out once.

A worker holds a run for as long as one call may take. Between claiming a call and storing its reply there is no
transaction, so nothing is locked while an agent thinks; a worker that dies leaves a hold that ends, and the next one
goes on with the call that has no result.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.urls import reverse

from arm import changes, clock, crypto, ids, tasks
from arm.errors import Conflict
from arm.models import User
from arm.permissions import require
from arm.rights import Right
from registry.lifecycle import VersionState
from registry.models import AgentVersion
from registry.services.asking import Duplicate, require_reason, require_same_tenant
from registry.services.locking import locked

from ..clients import Question, Reply
from ..lifecycle import GRACE, LIVE, TRIES, RunState, Trigger
from ..models import Result, Run, Suite
from ..queries import NEVER, ORDER, OUTDATED, allowed_of, endpoint_of, newest_version, standings
from ..scoring import Case, Outcome, OutOfTime, Verdict, judge

WORK: Final = "evaluation.tasks.work_off"
RUNS_ON: Final = frozenset(
    {VersionState.DRAFT, VersionState.TESTING, VersionState.CANDIDATE, VersionState.APPROVED}
)
WAITS: Final = timedelta(minutes=1)
"""How long a run may lie in the queue before it is put there again."""
SILENT: Final = frozenset({"timeout", "connection", "unresolved", "address_refused", "tls", "skipped"})
GIVE_UP_AFTER: Final = 5
"""Calls in a row without any answer; then the rest of the run errors without being called."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call that a worker has claimed."""

    run_id: UUID
    position: int
    question: Question
    case: Case


@transaction.atomic
def start_run(
    *,
    version: AgentVersion,
    suite: Suite,
    actor: User | None,
    reason: str,
    trigger: Trigger = Trigger.MANUAL,
) -> Run:
    """Put the suite's newest version to this version's genome, at its endpoint. `actor` None: a rule of ARM."""
    if actor is not None:
        require(actor, Right.RUN_EVALUATION, version)
    require_reason(reason)
    require_same_tenant(version=version, suite=suite)
    version = locked(AgentVersion.objects.select_related("template", "genome"), version.pk)
    if version.state not in RUNS_ON:
        raise Conflict(f"{version} is {version.get_state_display()}; nothing is run on it any more.")
    asked = newest_version(suite)
    if asked is None:
        raise Conflict(f"{suite} has no version yet.")
    endpoint = endpoint_of(version)
    if endpoint is None:
        mend = f"{reverse('evaluation:endpoint_set')}?template={version.template.typeid}"
        raise Conflict(f"Nobody has said where {version} answers: set its endpoint first.", mend=mend)
    if held := Run.objects.live().filter(suite=suite, version=version).first():
        raise Duplicate(f"{held} is {held.get_state_display().lower()} already.", held)
    run = Run.objects.create(
        tenant_id=version.tenant_id,
        suite=suite,
        suite_version=asked,
        template_id=version.template_id,
        version=version,
        genome_digest=version.genome.digest,
        endpoint=endpoint.url,
        trigger=trigger,
        created_at=clock.now(),
        asked_by=actor,
        total=len(asked.document.steps),
    )
    after = {
        "suite": asked.typeid,
        "suite_digest": asked.digest,
        "genome": run.genome_digest,
        "endpoint": run.endpoint,
        "trigger": trigger,
    }
    changes.record(
        actor, "evaluation.run.started", run, after=after, reason=reason, links=[version.typeid, suite.typeid]
    )
    tasks.enqueue(WORK, tenant_id=run.tenant_id, run_id=str(run.pk))
    return run


@transaction.atomic
def cancel_run(*, run: Run, actor: User | None, reason: str) -> Run:
    """It comes to no result; a reply that is still awaited is thrown away."""
    if actor is not None:
        require(actor, Right.RUN_EVALUATION, run)
    require_reason(reason)
    run = _locked(run.pk)
    if not run.live:
        raise Conflict(f"This run has {run.get_state_display().lower()} already.")
    run.state, run.finished_at, run.said = RunState.CANCELLED, clock.now(), reason[:500]
    run.worker = run.held_until = None
    run.save()
    after = {"state": run.state, "done": run.done, "total": run.total}
    changes.record(actor, "evaluation.run.cancelled", run, after=after, reason=reason)
    return run


@transaction.atomic
def begin_step(*, run_id: UUID, worker: UUID) -> Step | None:
    """Claim the run's next call. None where there is nothing to do: it has come out, or another worker holds it."""
    run = _locked(run_id)
    now = clock.now()
    if not run.live or (
        run.worker not in (None, worker) and run.held_until is not None and run.held_until > now
    ):
        return None
    document = run.suite_version.document
    steps = document.steps
    if run.state == RunState.QUEUED:
        run.state, run.started_at = RunState.RUNNING, now
    while run.live:
        case, turn = steps[run.done]
        why = _unasked(run)
        if why is None:
            allowed = allowed_of(run.tenant_id)
            run.worker, run.held_until = worker, now + timedelta(seconds=document.deadline) + GRACE
            run.tries += 1
            run.save()
            question = Question(run.endpoint, key_of(run, case, turn), case.input, document.deadline, allowed)
            return Step(run.pk, run.done, question, case)
        _store(run, case, turn, why)
    return None


def _unasked(run: Run) -> Reply | None:
    """The reply of a call that is not made (any more); None where it is to be made."""
    if run.tries >= TRIES:
        said = f"The worker was lost {TRIES} times in the middle of this call."
        return Reply(problem="gave_up", detail=said)
    if run.done < GIVE_UP_AFTER:
        return None
    last = list(run.results.order_by("-position").values_list("problem", flat=True)[:GIVE_UP_AFTER])
    if len(last) == GIVE_UP_AFTER and SILENT.issuperset(last):
        said = f"{GIVE_UP_AFTER} calls in a row got no answer; this one was not made."
        return Reply(problem="skipped", detail=said)
    return None


def scored(case: Case, reply: Reply) -> Reply:
    """The reply with what the case's scorers say of it. It touches no database: nothing has to be locked meanwhile."""
    if reply.answer is None or reply.verdicts is not None:
        return reply
    try:
        return replace(reply, verdicts=tuple(case.judge(reply.answer)))
    except (OutOfTime, ValueError) as problem:
        why = str(problem) or "scoring it took longer than it may"
        return replace(
            reply, answer=None, problem="unscored", detail=f"The answer was not scored: {why}."[:500]
        )


@transaction.atomic
def record_reply(*, step: Step, worker: UUID, reply: Reply) -> bool:
    """Store a reply, scored if it is not yet (`scored`). False, and nothing stored, where the run is no longer this worker's."""
    run = _locked(step.run_id)
    if not run.live or run.worker != worker or run.done != step.position:
        return False
    case, turn = run.suite_version.document.steps[run.done]
    _store(run, case, turn, reply)
    return True


@transaction.atomic
def hand_over(*, run_id: UUID, worker: UUID) -> None:
    """A worker that has had its turn puts the run at the end of the queue."""
    run = _locked(run_id)
    if run.live and run.worker == worker:
        _requeue(run)


def wake_stalled(tenant_id: UUID) -> int:
    """Queue every run again that nobody has worked on for too long. Returns how many."""
    now = clock.now()
    forgotten = Q(held_until=None, created_at__lt=now - WAITS) | Q(held_until__lt=now)
    rows = Run.objects.live().filter(forgotten, tenant=tenant_id).select_for_update(skip_locked=True)
    found = list(rows)
    for run in found:
        _requeue(run)
    return len(found)


def _requeue(run: Run) -> None:
    run.worker, run.held_until = None, clock.now() + WAITS
    run.save(update_fields=["worker", "held_until"])
    tasks.enqueue(WORK, tenant_id=run.tenant_id, run_id=str(run.pk))


@transaction.atomic
def start_missing(
    *, version: AgentVersion, actor: User | None, reason: str, trigger: Trigger = Trigger.MANUAL
) -> list[Run]:
    """Run every mandatory suite that has neither passed on this genome nor is being run. A rule (`actor` None) leaves
    what has failed or errored as it came out: that is repeated by a person, with a reason."""
    waiting = {NEVER, OUTDATED} if actor is None else set(ORDER) - LIVE - {RunState.PASSED}
    missing = [one for one in standings(version) if one.assignment.mandatory and one.state in waiting]
    return [
        start_run(version=version, suite=one.suite, actor=actor, reason=reason, trigger=trigger)
        for one in missing
    ]


@transaction.atomic
def cancel_runs_of(*, version: AgentVersion, reason: str) -> int:
    """The version has gone back or away: what is still being run on it comes to no result."""
    found = list(Run.objects.live().filter(version=version))
    for run in found:
        cancel_run(run=run, actor=None, reason=reason)
    return len(found)


def key_of(run: Run, case: Case, turn: int) -> str:
    """The same question has the same key, however often it is asked; it tells the agent nothing about the case."""
    said = crypto.digest(crypto.canonical([str(run.pk), case.digest, case.name, turn]))
    return ids.encode("qst", UUID(said.removeprefix("sha256:")[:32]))


def _locked(run_id: UUID) -> Run:
    return locked(Run.objects.select_related("suite", "suite_version", "version__template"), run_id)


def _store(run: Run, case: Case, turn: int, reply: Reply) -> None:
    """One result; the last one brings the run to its end, in the same transaction."""
    reply = scored(case, reply)
    verdicts = reply.verdicts or ()
    Result.objects.create(
        tenant_id=run.tenant_id,
        run=run,
        case=case.name,
        case_digest=case.digest,
        turn=turn,
        position=run.done,
        severity=case.severity,
        outcome=_outcome(reply, verdicts),
        problem=reply.problem,
        detail=reply.detail,
        verdicts=[verdict.members() for verdict in verdicts],
        http_status=reply.http_status,
        latency_ms=reply.latency_ms,
        answer_digest=reply.digest,
        excerpt=reply.excerpt,
        at=clock.now(),
    )
    run.done += 1
    run.tries = 0
    if run.done == run.total:
        _come_out(run)
    else:
        run.save()


def _outcome(reply: Reply, verdicts: Iterable[Verdict]) -> Outcome:
    if reply.problem:
        return Outcome.ERRORED
    return Outcome.PASSED if all(verdict.passed for verdict in verdicts) else Outcome.FAILED


def _come_out(run: Run) -> None:
    rows = list(
        run.results.values_list("case", "severity", "outcome", "turn", "answer_digest", "case_digest")
    )
    document = run.suite_version.document
    found = judge(document.category, document.threshold, [row[:3] for row in rows])
    run.state, run.finished_at = RunState(found.outcome.value), clock.now()
    run.passed, run.failed, run.errored = found.passed, found.failed, found.errored
    run.said, run.worker, run.held_until = found.said[:500], None, None
    run.results_digest = crypto.digest(crypto.canonical([list(row) for row in rows]))
    run.save()
    after: dict[str, Any] = {
        "state": run.state,
        "genome": run.genome_digest,
        "suite_digest": run.suite_version.digest,
        "passed": run.passed,
        "failed": run.failed,
        "errored": run.errored,
        "results": run.results_digest,
    }
    record = changes.record(
        None,
        "evaluation.run.finished",
        run,
        after=after,
        reason=found.said,
        links=[run.version.typeid, run.suite.typeid],
    )
    tasks.announce(
        record.verb,
        tenant_id=run.tenant_id,
        run_id=str(run.pk),
        version_id=str(run.version_id),
        change_id=str(record.pk),
        state=run.state,
    )
