"""What the worker does with acts on many rows: part by part, past a row that fails, and to an end."""

import logging
import time
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from arm import changes, clock, db, tasks

from ..models import BulkRow, BulkRun
from .locking import locked
from .many import TASK, step, waiting

STEP = 20
"""Rows of one transaction of the worker."""
TURN = 120.0
"""Seconds after which the worker puts the rest to the end of the queue, well within what that allows a task."""
STALLED = timedelta(seconds=60)
"""A run under way that nobody has touched for longer has lost its worker."""
ATTEMPTS: Final = 3
"""So often a row is begun with; one that a worker was lost with each time is given up."""
LOST: Final = f"A worker or the database was lost with it {ATTEMPTS} times, and nothing of it was done; look at the log, and try it alone."
log = logging.getLogger(__name__)


def work_off_bulk(*, tenant_id: UUID, run_id: UUID) -> None:
    """What the worker does with a large run: some rows at a time, each time in a transaction of its own. Run again, it
    goes on where it was.

    That a part is begun is stored before it is: the part after one that was not ended is a single row, and a row that was
    begun with ATTEMPTS times and not ended has failed. So the run ends, whatever one of its rows does to a worker.
    """
    until = time.monotonic() + TURN
    while True:
        if time.monotonic() > until:
            with db.tenants([tenant_id]):
                tasks.enqueue(TASK, tenant_id=tenant_id, run_id=str(run_id))
            return
        with db.tenants([tenant_id]):
            most = _begin(locked(BulkRun.objects.all(), run_id))
        try:
            with db.tenants([tenant_id]):
                run = locked(BulkRun.objects.select_related("actor"), run_id)  # one worker's at a time
                token = changes.credential.set(run.credential)
                try:
                    if not step(run, most):
                        return
                finally:
                    changes.credential.reset(token)
        except (OperationalError, InterfaceError):
            raise  # the run is woken again in a while; what was stored before says how often
        except Exception:
            # Its part was taken back: the next is a single row, and after some tries that row has failed.
            log.exception("A part of an act was not ended.", extra={"run": str(run_id)})


def _begin(run: BulkRun) -> int:
    """Store that the next part is begun, and give up what was begun with too often. Returns of how many rows it is."""
    given_up = waiting(run).filter(attempts__gte=ATTEMPTS)
    if run.state == BulkRun.State.PREVIEWING:
        given_up.update(foreseen=BulkRow.Foreseen.FAILED, foreseen_says=LOST)
    elif run.state == BulkRun.State.APPLYING:
        given_up.update(outcome=BulkRow.Outcome.FAILED, outcome_says=LOST)
    else:
        return STEP
    most = 1 if run.tries else STEP
    keys = list(waiting(run).order_by("target_id").values_list("pk", flat=True)[:most])
    BulkRow.objects.filter(pk__in=keys).update(attempts=F("attempts") + 1)
    BulkRun.objects.filter(pk=run.pk).update(tries=F("tries") + 1, touched_at=clock.now())
    return most


def wake_stalled_bulk(*, tenant_id: UUID) -> int:
    """Queue the runs whose worker was lost again. Returns how many.

    Each once in a while: whoever finds the queue long finds each run in it a few times, not once a minute.
    """
    now = clock.now()
    going = (BulkRun.State.PREVIEWING, BulkRun.State.APPLYING)
    rows = BulkRun.objects.filter(tenant=tenant_id, state__in=going, touched_at__lt=now - STALLED)
    with transaction.atomic():
        lost = list(rows.select_for_update(skip_locked=True))  # one that is held has a worker
        for run in lost:
            tasks.enqueue(TASK, tenant_id=tenant_id, run_id=str(run.pk))
        BulkRun.objects.filter(pk__in=[run.pk for run in lost]).update(touched_at=now)
    return len(lost)
