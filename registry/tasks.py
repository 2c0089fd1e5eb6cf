"""What the worker does for the directory: follow changes, look for what is overdue or altered, apply tables."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final
from uuid import UUID

from arm import db, tasks

from . import services
from .lifecycle import VersionState
from .models import AgentVersion, DeploymentSlot, TableImport
from .protocol.sheet import read_sheet

SWEEP_TURN: Final = 20.0
"""Seconds after which a round goes to the end of the queue: nothing else waits for it longer than that."""


def sweep_everywhere(**_: Any) -> int:
    """Queue `sweep` for every tenant; those that had their round this night have nothing to do."""
    return tasks.each_tenant("registry.tasks.sweep")


@tasks.in_steps
def sweep(*, tenant_id: UUID, **_: Any) -> int:
    """Go on with the round that is under way, or begin the night's, step by step; at its end what is kept of live
    instances is counted. Returns how many steps."""
    until, steps = time.monotonic() + SWEEP_TURN, 0
    with db.tenants([tenant_id]):
        round_ = services.begin_sweep(tenant_id=tenant_id)
    more = round_ is not None
    while more and round_ is not None:
        with db.tenants([tenant_id]):
            more = services.sweep_on(sweep_id=round_.pk)
            steps += 1
            if more and time.monotonic() > until:
                tasks.enqueue("registry.tasks.sweep", tenant_id=tenant_id)
                return steps
    if round_ is not None:
        with db.tenants([tenant_id]):
            services.recount_live(tenant_id=tenant_id)
    return steps


TURN: Final = 120.0
"""Seconds after which the work goes to the end of the queue, well within what the queue allows a task."""


@tasks.in_steps
def work_off_table(*, tenant_id: UUID, table_id: str, **_: Any) -> int:
    """Take step after step, each in a transaction of its own, until the import has come out. Returns how many."""
    until, taken, key = time.monotonic() + TURN, 0, UUID(table_id)
    with db.tenants([tenant_id]):
        table = TableImport.objects.get(pk=key)
        step = services.next_step(table)
    sheet = read_sheet(bytes(table.content), table.kind)
    while step is not None:
        if time.monotonic() > until:
            with db.tenants([tenant_id]):
                tasks.enqueue(services.TASK, tenant_id=tenant_id, table_id=table_id)
            return taken
        with db.tenants([tenant_id]):
            step = services.take_table_step(table_id=key, sheet=sheet, step=step)
        taken += 1
    return taken


def sweep_tables(**_: Any) -> int:
    """Queue `wake_stalled_tables` for every tenant."""
    return tasks.each_tenant("registry.tasks.wake_stalled_tables")


def wake_stalled_tables(*, tenant_id: UUID, **_: Any) -> int:
    """Put imports back into the queue whose worker was lost."""
    return services.wake_stalled_tables(tenant_id)


def version_moved(*, tenant_id: UUID, version_id: str, **_: Any) -> int:
    """A newer approved version supersedes others; what slots have left of a deprecated one is drained."""
    version = AgentVersion.objects.get(pk=version_id)
    if version.state == VersionState.APPROVED:
        return len(services.supersede(tenant_id=tenant_id, template_id=version.template_id))
    if version.ending:
        return services.drain_left(slots=services.slots_of(version))
    return 0


def slot_bound(*, tenant_id: UUID, slot_id: str, **_: Any) -> int:
    """What the slot has left is drained if it is deprecated; a version that no slot has any more may be superseded."""
    slots = DeploymentSlot.objects.filter(pk=slot_id)
    done = services.drain_left(slots=slots)
    templates = slots.exclude(current_version=None).values_list("current_version__template", flat=True)
    for template_id in templates:
        done += len(services.supersede(tenant_id=tenant_id, template_id=template_id))
    return done


def something_changed(*, tenant_id: UUID, template_id: str = "", **_: Any) -> int:
    """A suite, its assignment or a policy has changed: candidates that would not pass now are sent back."""
    key = UUID(template_id) if template_id else None
    return len(services.recheck_candidates(tenant_id=tenant_id, template_id=key))


def sweep_overdue(**_: Any) -> int:
    """Queue `tell_overdue` for every tenant."""
    return tasks.each_tenant("registry.tasks.tell_overdue")


def tell_overdue(*, tenant_id: UUID, **_: Any) -> int:
    """Tell of deprecated versions that slots still bind past their due date."""
    return services.tell_overdue(tenant_id=tenant_id)


def sweep_lacking(**_: Any) -> int:
    """Queue `tell_lacking` for every tenant."""
    return tasks.each_tenant("registry.tasks.tell_lacking")


def tell_lacking(*, tenant_id: UUID, **_: Any) -> int:
    """Tell, once, of agents that nobody answers for and of roles that have lacked somebody for a while."""
    return services.tell_lacking(tenant_id=tenant_id)


@tasks.in_steps
def work_off_bulk(*, tenant_id: UUID, run_id: str) -> None:
    """Preview or apply the rows of a large act that wait."""
    services.work_off_bulk(tenant_id=tenant_id, run_id=UUID(run_id))


def sweep_bulk(**_: Any) -> int:
    """Queue `wake_stalled_bulk` for every tenant."""
    return tasks.each_tenant("registry.tasks.wake_stalled_bulk")


def wake_stalled_bulk(*, tenant_id: UUID, **_: Any) -> int:
    """Put acts on many rows back into the queue whose worker was lost."""
    return services.wake_stalled_bulk(tenant_id=tenant_id)


def advance_everywhere(**_: Any) -> int:
    """Queue `advance` for every tenant."""
    return tasks.each_tenant("registry.tasks.advance")


@tasks.in_steps
def advance(*, tenant_id: UUID, **_: Any) -> int:
    """Judge each running rollout of a tenant, activate replacements to which nothing is missing, and drain in each slot what
    is replaced by now, each in a transaction of its own. Returns how many moved.

    A worker that dies has moved the earlier ones and nothing of the one it was at; two workers share them. One that
    cannot be judged keeps none of the others waiting: what went wrong is raised at the end.
    """
    with db.tenants([tenant_id]):
        looks: list[Callable[[], int]] = [
            partial(services.advance_rollout, rollout_id=pk) for pk in services.due_rollouts(tenant_id)
        ]
        looks += [
            partial(services.activate_replacement, instance_id=pk)
            for pk in services.replacements_waiting(tenant_id)
        ]  # before the slots are settled: what they replace drains in the same look
        looks += [partial(services.settle_slot, slot_id=pk) for pk in services.slots_handing_over(tenant_id)]
    moved, problems = _each(tenant_id, looks)
    if problems:
        raise ExceptionGroup("Some rollouts could not be judged.", problems)
    return moved


def _each(tenant_id: UUID, looks: Iterable[Callable[[], int]]) -> tuple[int, list[Exception]]:
    """Each in a transaction of its own: how many did something, and what went wrong. None keeps the others waiting."""
    moved, problems = 0, []
    for look in looks:
        try:
            with db.tenants([tenant_id]):
                moved += bool(look())
        except Exception as problem:  # noqa: BLE001 - the caller raises all of them at the end
            problems.append(problem)
    return moved, problems


def retire_drained_everywhere(**_: Any) -> int:
    """Queue `retire_drained` for every tenant."""
    return tasks.each_tenant("registry.tasks.retire_drained")


@tasks.in_steps
def retire_drained(*, tenant_id: UUID, turn: int = 0, **_: Any) -> int:
    """Retire what has left and drained, each in a transaction of its own. Returns how many were.

    One round a tenant at a time: a look that finds one under way leaves it. After a turn the rest goes to the end of the
    queue, with the `turn` of the mark; a worker that dies has retired the earlier ones, and a later look goes on after
    them. One that fails keeps none of the others waiting.
    """
    until, retired, problems = time.monotonic() + SWEEP_TURN, 0, list[Exception]()
    with db.tenants([tenant_id]):
        mark = services.take_drain_round(tenant_id=tenant_id, turn=turn)
    if mark is None:
        return 0
    last = mark.reached
    while True:
        with db.tenants([tenant_id]):
            found = services.drained_after(tenant_id, last)
        done, wrong = _each(tenant_id, [partial(services.retire_drained, instance_id=pk) for pk in found])
        retired, problems = retired + done, problems + wrong
        with db.tenants([tenant_id]):
            if not found:
                services.end_drain_round(tenant_id=tenant_id, turn=mark.turn)
                break
            last = found[-1]
            if not services.touch_drain_round(tenant_id=tenant_id, turn=mark.turn, reached=last):
                break  # it was thought lost, and another goes on
            if time.monotonic() > until:
                tasks.enqueue("registry.tasks.retire_drained", tenant_id=tenant_id, turn=mark.turn)
                break
    if problems:
        raise ExceptionGroup("Some drained instances could not be retired.", problems)
    return retired
