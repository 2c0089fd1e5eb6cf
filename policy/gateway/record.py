"""Group commit: every answer waits until its record is durable; all that wait are committed together."""

import contextlib
import logging
import struct
import threading
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final
from uuid import UUID

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from arm import db
from arm.copying import copy_in
from arm.errors import Invalid, Unavailable

from ..engine import Action, Verdict
from .counters import HOLDER
from .wire import reasons_json

log = logging.getLogger("arm.policy")
WAITING_MOST: Final = 10_000
PATIENCE_S: Final = 5.0
CALLS: Final = "arm_policy_calls"
NOTICE_CALLS: Final = 110  # of 65 characters: a notice holds 8000 bytes
UNKEEPABLE: Final = "A value of this request cannot be kept, so nothing was decided; the log names it."
BUSY: Final = "The decision could not be recorded, so it is not given. Ask again."

COLUMNS: Final = (
    "id, tenant_id, instance_id, version_id, key_id, at, action, risk, decision, would, age_ms, action_digest, "
    "policy_digest, verdict_digest, approval_id, tool, reasons, obligations, job, outcome, run, request_id"
)
_FIXED: Final = struct.Struct(">h i16s i16s i16s i16s i16s iq ih ih ih ih ii i32s i32s i32s")
_LENGTH: Final = struct.Struct(">i")
_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_EMPTY: Final = bytes(4)
_EPOCH_MS: Final = 946_684_800_000
_DAY_MS: Final = 86_400_000
_ACTIONS: Final = {action: number for number, action in enumerate(Action)}


def pack(
    decision_id: UUID,
    verdict: Verdict,
    *,
    tenant_id: bytes,
    instance_id: bytes,
    version_id: bytes,
    key_id: bytes,
    action: Action,
    tool: str,
    job: str,
    outcome: str,
    run: str,
    age_ms: int,
    digest: str,
    approval_id: UUID | None,
    request_id: str,
) -> bytes:
    """One row in COPY's binary format; the columns are COLUMNS."""
    raw = decision_id.bytes
    at = (int.from_bytes(raw[:6], "big") - _EPOCH_MS) * 1000
    parts = [
        _FIXED.pack(
            22, 16, raw, 16, tenant_id, 16, instance_id, 16, version_id, 16, key_id, 8, at,
            2, _ACTIONS[action], 2, verdict.risk, 2, verdict.decision, 2, verdict.would, 4, age_ms,
            32, bytes.fromhex(verdict.action[7:]), 32, bytes.fromhex(verdict.policy[7:]), 32, bytes.fromhex(digest[7:]),
        ),
        b"\xff\xff\xff\xff" if approval_id is None else b"\x00\x00\x00\x10" + approval_id.bytes,
    ]  # fmt: skip
    reasons = reasons_json(verdict.reasons)
    parts += (_text(tool), _LENGTH.pack(len(reasons)), reasons, _text(",".join(verdict.obligations)))
    parts += (
        _text(job),
        _text(outcome) if outcome else _EMPTY,
        _text(run) if run else _EMPTY,
        _text(request_id),
    )
    return b"".join(parts)


def _text(value: str) -> bytes:
    data = value.encode()
    return _LENGTH.pack(len(data)) + data


class Ticket:
    """One caller's rows and the lock it sleeps on until they are durable.

    Callers of one group wake each other in turn (`after`): woken all at once they would fight for the interpreter.
    """

    __slots__ = ("after", "day", "done", "error", "left", "rows", "told")

    def __init__(self, day: int, rows: bytes, told: tuple[str, ...]) -> None:
        self.day = day
        self.rows = rows
        self.told = told
        self.error: Exception | None = None
        self.after: list[Ticket] = []  # one or none; taking it out is atomic, so it is woken once
        self.left = False
        self.done = threading.Lock()
        self.done.acquire()

    def wait(self, seconds: float) -> bool:
        """Sleep until woken, wake the next; False when it took too long."""
        woken = self.done.acquire(timeout=seconds)
        if not woken:
            self.left = True
            woken = self.done.acquire(blocking=False)  # woken just now: then the next is ours to wake
        if woken:
            self.wake_next()
        return woken

    def wake(self) -> None:
        self.done.release()
        if self.left:  # nobody sleeps here any more
            self.wake_next()

    def wake_next(self) -> None:
        try:
            following = self.after.pop()
        except IndexError:
            return
        following.wake()


class Recorder:
    """One flusher thread per process. While one group commits, the next gathers: the busier, the larger."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: list[Ticket] = []
        self._wake = threading.Semaphore(0)
        self._asleep = False
        self._thread: threading.Thread | None = None
        self._wrapper: BaseDatabaseWrapper | None = None
        self._over = False
        self.groups = 0
        self.rows = 0

    def commit(self, decision_id: UUID, rows: bytes, told: tuple[str, ...] = ()) -> None:
        """Return when the rows are durable; `told` goes to the other processes with them.

        Unavailable when they are not durable, or not for certain; Invalid for what the database never takes.
        """
        day = int.from_bytes(decision_id.bytes[:6], "big") // _DAY_MS
        ticket = Ticket(day, rows, told)
        with self._guard:
            if len(self._waiting) >= WAITING_MOST:
                raise Unavailable(BUSY)
            if self._thread is None or not self._thread.is_alive():
                self._over, self._asleep = False, False
                self._thread = threading.Thread(target=self._run, name="policy-recorder", daemon=True)
                self._thread.start()
            self._waiting.append(ticket)
            if self._asleep:
                self._asleep = False
                self._wake.release()
        if not ticket.wait(PATIENCE_S):
            raise Unavailable(BUSY)
        if isinstance(ticket.error, psycopg.DataError):
            raise Invalid(UNKEEPABLE) from ticket.error
        if ticket.error is not None:
            raise Unavailable(BUSY) from ticket.error

    def stop(self) -> None:
        """End the thread after the group at hand; a later commit starts another."""
        with self._guard:
            self._over = True
            if self._asleep:
                self._asleep = False
                self._wake.release()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        while True:
            with self._guard:
                group, self._waiting = self._waiting, []
                if not group and self._over:
                    break
                self._asleep = not group
            if group:
                self._flush(group)
            else:
                self._wake.acquire()
        self._close()

    def _flush(self, group: list[Ticket]) -> None:
        days: dict[int, list[Ticket]] = {}
        for ticket in group:
            days.setdefault(ticket.day, []).append(ticket)
        for day, tickets in days.items():
            self._store(day, tickets)
            for ticket, following in pairwise(tickets):
                ticket.after.append(following)
            tickets[0].wake()
            if any(ticket.told for ticket in tickets):
                self._tell(tickets)

    def _tell(self, tickets: list[Ticket]) -> None:
        """Best effort: loop counters of other processes may lag, records may not."""
        calls = [call for ticket in tickets for call in ticket.told]
        try:
            for first in range(0, len(calls), NOTICE_CALLS):
                payload = " ".join([HOLDER, *calls[first : first + NOTICE_CALLS]])
                self._connection().execute("SELECT pg_notify(%s, %s)", [CALLS, payload])
        except psycopg.Error as problem:
            log.warning("other processes did not hear of %d calls: %s", len(calls), problem)

    def _store(self, day: int, tickets: list[Ticket]) -> None:
        try:
            self._copy(day, b"".join([_HEADER, *(ticket.rows for ticket in tickets), _TRAILER]))
            self.groups += 1
            self.rows += len(tickets)
        except psycopg.DataError as problem:
            if len(tickets) == 1:
                self._failed(tickets, problem)
            else:  # one caller's row must not cost the others theirs
                for ticket in tickets:
                    self._store(day, [ticket])
        except Exception as problem:  # noqa: BLE001 - every waiter is told, whatever went wrong
            self._failed(tickets, problem)

    def _failed(self, tickets: list[Ticket], problem: Exception) -> None:
        log.error("decisions were not recorded: %s", problem)
        for ticket in tickets:
            ticket.error = problem

    def _copy(self, day: int, data: bytes) -> None:
        """COPY and commit. A connection that was lost, or a partition that is missing, is tried once more: COPY is
        one statement, so the first attempt stored nothing unless its answer was lost. Then the key says so."""
        try:
            self._copy_once(day, data)
        except psycopg.errors.UndefinedTable:
            self._make_partition(day)
            self._copy_once(day, data)
        except psycopg.OperationalError:
            self._close()
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                self._copy_once(day, data)

    def _copy_once(self, day: int, data: bytes) -> None:
        name = datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y%m%d")
        statement = f"COPY {db.PARTITIONS}.policy_decision_{name} ({COLUMNS}) FROM STDIN (FORMAT binary)"
        copy_in(self._connection(), statement.encode(), data)

    def _connection(self) -> "psycopg.Connection[tuple[object, ...]]":
        """Autocommit: each COPY is a transaction of its own, durable when it returns."""
        if self._wrapper is None or self._wrapper.connection is None or self._wrapper.connection.closed:
            self._wrapper = connections.create_connection("ingest")
            self._wrapper.connect()
        raw: psycopg.Connection[tuple[object, ...]] = self._wrapper.connection
        return raw

    def _close(self) -> None:
        if self._wrapper is not None:
            with contextlib.suppress(psycopg.Error):
                self._wrapper.close()
            self._wrapper = None

    def _make_partition(self, day: int) -> None:
        date = datetime.fromtimestamp(day * 86_400, UTC).date()
        wrapper = connections.create_connection("default")
        try:
            with wrapper.cursor() as cursor:
                cursor.execute("SELECT policy_make_partitions(%s, %s)", [date, date])
        finally:
            wrapper.close()
