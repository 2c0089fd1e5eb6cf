"""What the worker does for the directory: judge and apply tables, and go on with those whose worker was lost."""

import time
from typing import Any, Final
from uuid import UUID

from arm import db, tasks

from . import services
from .models import TableImport
from .protocol.sheet import read_sheet

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
