"""What the worker does for the directory: rollouts are judged and go on."""

from typing import Any
from uuid import UUID

from arm import db, tasks

from . import services


def advance_everywhere(**_: Any) -> int:
    """Queue `advance` for every tenant."""
    return tasks.each_tenant("registry.tasks.advance")


@tasks.in_steps
def advance(*, tenant_id: UUID, **_: Any) -> int:
    """Judge each running rollout of a tenant, each in a transaction of its own. Returns how many moved.

    A worker that dies has moved the earlier ones and nothing of the one it was at; two workers share them. One that
    cannot be judged keeps none of the others waiting: what went wrong is raised at the end.
    """
    with db.tenants([tenant_id]):
        due = services.due_rollouts(tenant_id)
    moved, problems = 0, []
    for pk in due:
        try:
            with db.tenants([tenant_id]):
                moved += services.advance_rollout(rollout_id=pk)
        except Exception as problem:  # noqa: BLE001 - all of them are told, none keeps the others waiting
            problems.append(problem)
    if problems:
        raise ExceptionGroup("Some rollouts could not be judged.", problems)
    return moved
