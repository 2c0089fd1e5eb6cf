"""What the worker does for the directory: the night's look at what is stored, and tables judged and applied."""

import time
from typing import Any, Final
from uuid import UUID

from arm import db, tasks

from . import services
from .models import TableImport
from .protocol.sheet import read_sheet

SWEEP_TURN: Final = 20.0
"""Seconds after which a round goes to the end of the queue: nothing else waits for it longer than that."""


def sweep_everywhere(**_: Any) -> int:
    """Queue `sweep` for every tenant; those that had their round this night have nothing to do."""
    return tasks.each_tenant("registry.tasks.sweep")


@tasks.in_steps
def sweep(*, tenant_id: UUID, **_: Any) -> int:
    """Go on with the round that is under way, or begin the night's, step by step. Returns how many steps."""
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
