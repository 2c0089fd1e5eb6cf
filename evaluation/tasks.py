"""What the worker does for evaluation: work runs off call by call, wake those that were left, follow versions."""

import time
from typing import Any, Final
from uuid import UUID, uuid4

from arm import db, tasks
from registry.lifecycle import VersionState
from registry.models import AgentVersion
from registry.services import recheck_candidates

from . import clients, queries, services
from .lifecycle import Trigger
from .queries.baselines import against_baselines

TURN: Final = 20.0
"""Seconds after which a run goes to the end of the queue: no agent keeps other work waiting for longer than a call."""


@tasks.in_steps
def work_off(*, tenant_id: UUID, run_id: str, **_: Any) -> int:
    """Claim a call, make it, store its reply; again until the run has come out or this turn is over. Returns how many."""
    worker, run, until, done = uuid4(), UUID(run_id), time.monotonic() + TURN, 0
    while True:
        with db.tenants([tenant_id]):
            if time.monotonic() > until:
                services.hand_over(run_id=run, worker=worker)
                return done
            step = services.begin_step(run_id=run, worker=worker)
        if step is None:
            return done
        reply = services.scored(step.case, clients.ask(step.question))  # no transaction is open here
        with db.tenants([tenant_id]):
            if not services.record_reply(step=step, worker=worker, reply=reply):
                return done
        done += 1


def sweep_runs(**_: Any) -> int:
    """Queue `wake_stalled` for every tenant."""
    return tasks.each_tenant("evaluation.tasks.wake_stalled")


def wake_stalled(*, tenant_id: UUID, **_: Any) -> int:
    """Put runs back into the queue whose worker was lost."""
    return services.wake_stalled(tenant_id)


def sweep_certifications(**_: Any) -> int:
    """Queue `expire_certifications` for every tenant."""
    return tasks.each_tenant("evaluation.tasks.expire_certifications")


def expire_certifications(*, tenant_id: UUID, **_: Any) -> int:
    """Tell of certifications that have run out."""
    return services.expire_certifications(tenant_id)


def version_moved(*, tenant_id: UUID, version_id: str, **_: Any) -> int:
    """A version in Testing is evaluated at once; runs on one that went back or away are cancelled."""
    version = AgentVersion.objects.select_related("template", "genome").get(pk=version_id)
    if version.state == VersionState.TESTING:
        if queries.endpoint_of(version) is None:
            return 0  # the gate says that it is missing, and where to set it
        said = f"{version} is in Testing."
        started = services.start_missing(version=version, actor=None, reason=said, trigger=Trigger.PROMOTION)
        return len(started)
    if version.state == VersionState.APPROVED:
        return _hold_against(version)
    if version.state in (VersionState.DRAFT, VersionState.RETIRED, VersionState.DEPRECATED):
        said = f"{version} is {version.get_state_display()}."
        return services.cancel_runs_of(version=version, reason=said)
    return 0


def _hold_against(approved: AgentVersion) -> int:
    """A newer approved version may be another baseline: candidates that are worse now are sent back by registry's rule."""
    rows = AgentVersion.objects.filter(template=approved.template_id, state=VersionState.CANDIDATE)
    for candidate in rows.select_related("template", "genome"):
        if any(one.worse and one.standing.assignment.mandatory for one in against_baselines(candidate)):
            sent = recheck_candidates(tenant_id=approved.tenant_id, template_id=approved.template_id)
            return len(sent)
    return 0
