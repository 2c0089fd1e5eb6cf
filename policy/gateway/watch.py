"""Hears of changes: NOTIFY at once, and twice a second a look at the touches, for what was not heard."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import psycopg
from django.db import connections

from ..engine import Loop
from .counters import Calls, Streaks
from .fleet import Fleet
from .record import CALLS

log = logging.getLogger("arm.policy")
POLL_SECONDS: Final = 0.5
TIDY_SECONDS: Final = 60.0
CHANGES: Final = "arm_policy"

# One statement, so one snapshot: every touch that is visible, and the oldest transaction that may still add one.
LOOK: Final = """
WITH seen AS (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin)
SELECT seen.xmin::text::bigint, touch.xid::text::bigint, touch.tenant_id, touch.instance_id
FROM seen LEFT JOIN policy_touch touch ON touch.xid >= %s::text::xid8
"""


class Watcher:
    """One daemon thread per process. While it cannot look, what is remembered grows old, and old denies."""

    def __init__(self, fleet: Fleet, calls: Calls, streaks: Streaks, each_minute: Callable[[], None]) -> None:
        self.fleet = fleet
        self.calls = calls
        self.streaks = streaks
        self.each_minute = each_minute
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._over = threading.Event()
        self._from: int | None = None
        self._applied: set[tuple[int, UUID, UUID | None]] = set()

    def ensure_running(self) -> None:
        """Start the thread, in this process, unless it runs. Cheap enough to call for every request."""
        if self._thread is not None and self._pid == os.getpid() and self._thread.is_alive():
            return
        with self._guard:
            if self._thread is None or self._pid != os.getpid() or not self._thread.is_alive():
                self._pid = os.getpid()
                self._thread = threading.Thread(target=self._run, name="policy-watcher", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread within one look."""
        self._over.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(5)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._watch()
            except (psycopg.Error, OSError) as problem:
                log.warning("the watcher lost its connection and makes another: %s", problem)
            except Exception:
                log.exception("the watcher failed and starts again")
            self._over.wait(0.2)

    def _watch(self) -> None:
        wrapper = connections.create_connection("default")
        try:
            wrapper.connect()
            raw: psycopg.Connection[Any] = wrapper.connection
            raw.autocommit = True
            raw.execute(f"LISTEN {CHANGES}")
            raw.execute(f"LISTEN {CALLS}")
            tidied = time.monotonic()
            while not self._over.is_set():
                self._look(raw)
                if wanted := self.fleet.with_loop(Loop.ERROR_STREAK):
                    self.streaks.refresh(wanted)
                for notice in raw.notifies(timeout=POLL_SECONDS):
                    self._hear(notice.channel, notice.payload)
                    if time.time() - self.fleet.confirmed_at >= POLL_SECONDS:
                        break  # a busy channel must not keep us from looking
                if time.monotonic() - tidied > TIDY_SECONDS:
                    tidied = time.monotonic()
                    self.fleet.tidy(time.time())
                    self.calls.tidy(time.time())
                    self.each_minute()
        finally:
            wrapper.close()

    def _hear(self, channel: str, payload: str) -> None:
        if channel == CALLS:
            self.calls.hear(payload)
            return
        tenant, _, instance = payload.partition(" ")
        self.fleet.touch(UUID(tenant), UUID(instance) if instance else None)

    def _look(self, raw: "psycopg.Connection[Any]") -> None:
        at = time.time()
        if self._from is None:
            found = raw.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()
            self._from = int(found[0]) if found else 0
            self.fleet.touch_everything()  # what happened before we listened is not known
        rows = raw.execute(LOOK.encode(), [str(self._from)]).fetchall()
        oldest = rows[0][0]
        for _, xid, tenant_id, instance_id in rows:
            if xid is not None and (xid, tenant_id, instance_id) not in self._applied:
                self._applied.add((xid, tenant_id, instance_id))
                self.fleet.touch(tenant_id, instance_id)
        self._from = oldest
        self._applied = {seen for seen in self._applied if seen[0] >= oldest}
        self.fleet.confirm(at)
