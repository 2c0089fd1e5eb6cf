"""What the worker does for the directory: every night, look whether what is stored still is what its digest says."""

import time
from typing import Any, Final
from uuid import UUID

from arm import db, tasks

from . import services

TURN: Final = 20.0
"""Seconds after which a round goes to the end of the queue: nothing else waits for it longer than that."""


def sweep_everywhere(**_: Any) -> int:
    """Queue `sweep` for every tenant; those that had their round this night have nothing to do."""
    return tasks.each_tenant("registry.tasks.sweep")


@tasks.in_steps
def sweep(*, tenant_id: UUID, **_: Any) -> int:
    """Go on with the round that is under way, or begin the night's, step by step. Returns how many steps."""
    until, steps = time.monotonic() + TURN, 0
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
