"""Enqueue inside the transaction: django-q2's ORM broker commits the queue row with the change (an outbox)."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string
from django_q.tasks import async_task

from arm import clock, db, logs
from arm.models import ProcessBeat

F = TypeVar("F", bound=Callable[..., Any])

TAKEN = frozenset(
    [
        "hook",
        "group",
        "save",
        "sync",
        "cached",
        "ack_failure",
        "iter_count",
        "iter_cached",
        "chain",
        "broker",
        "cluster",
        "timeout",
        "task_name",
        "q_options",
        "path",
    ]
)
"""Keyword arguments that django-q2 (or `run`) would keep for itself."""


SIGNER = "signer"
"""The cluster that holds the key-encryption key: what signs runs there and nowhere else."""


def enqueue(task: str, *, tenant_id: UUID, cluster: str | None = None, **facts: str | int) -> None:
    """Run the task at this dotted path once this transaction has committed, inside its tenant's wall.

    The task receives `tenant_id` and `facts` as keywords and may run more than once. `cluster`: SIGNER, or the worker.
    """
    if clash := TAKEN & facts.keys():
        raise ValueError(
            f"A task cannot be given {', '.join(sorted(clash))}: the queue takes these for itself."
        )
    async_task(
        "arm.tasks.run",
        path=task,
        tenant_id=str(tenant_id),
        asked_by=logs.request_id.get(),
        q_options={"task_name": task[:100], **({"cluster": cluster} if cluster else {})},
        **facts,
    )


def announce(event: str, *, tenant_id: UUID, **facts: str | int) -> None:
    """Tell every subscriber of `event` (settings.SUBSCRIBERS), each in a task of its own."""
    for task in settings.SUBSCRIBERS.get(event, ()):
        enqueue(task, tenant_id=tenant_id, cluster=None, **facts)


def in_steps(task: F) -> F:
    """Mark a task that opens its own transactions (`db.tenants`): it waits for others, and nothing may be locked
    meanwhile."""
    task.in_steps = True  # type: ignore[attr-defined]
    return task


def run(*, path: str, tenant_id: str, asked_by: str = "", **facts: str | int) -> object:
    """What the worker calls: the task, in a transaction that sees its tenant only (or in those that it opens)."""
    task: Callable[..., object] = import_string(path)
    token = logs.request_id.set(asked_by)
    try:
        with nullcontext() if getattr(task, "in_steps", False) else db.tenants([UUID(tenant_id)]):
            return task(tenant_id=UUID(tenant_id), **facts)
    finally:
        logs.request_id.reset(token)


def each_tenant(task: str) -> int:
    """For schedules: run the task once per tenant, each in its own queue entry. Returns how many."""
    everyone = db.all_tenants()
    for tenant_id in everyone:
        enqueue(task, tenant_id=tenant_id)
    return len(everyone)


def beat_worker() -> None:
    """Queued by the scheduler, run by the worker: `/ready/` reads when this last happened."""
    ProcessBeat.objects.update_or_create(name="worker", defaults={"beat_at": clock.now()})
