"""One batch of spans → events, ledger entries, sums and quarantine, in one transaction, once however often it is sent.

The ingest role copies binary rows straight into the day's partitions. It first assumes that all events are new; only
when the unique index says otherwise are the known ids read and the rest is copied.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from threading import Lock
from typing import Any
from uuid import UUID

import psycopg
from django.db import DatabaseError, connections
from psycopg import Cursor, errors

from arm import clock, db, ports
from arm.copying import copy_in, writing
from arm.errors import Unavailable
from registry.models import InstanceStatus, Provider

from ..facts import Booking, Ledger
from ..models import ROOM
from ..parsing import parse
from ..parsing.blocks import Block, rows_of
from ..parsing.events import Belonging
from ..parsing.packing import COLUMNS, by_day, date_of, rows
from ..queries.credentials import Credential
from ..queries.directory import directory_of
from . import jobs, partitions
from .codes import codebook, intern
from .linked import Linked
from .linking import Held, OneByOne, by_reason, link, micros

log = logging.getLogger("arm.telemetry")

TRIES = 6
SEEN_EVERY_SECONDS = 5.0
EVENTS = "telemetry_event"
LARGE = 64 * 1024
"""Bytes of a body that is read and packed in turn."""
_turn = Lock()
"""Two large batches that are read at once take the interpreter from each other every few milliseconds and the processor's
cache each time: a third more CPU for both. A small one need not wait; nobody waits here while another waits for the database."""
_Packed = tuple[dict[date, bytes], Booking | None]
_AGAIN = (errors.UniqueViolation, errors.DeadlockDetected, errors.SerializationFailure)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch. `duplicates` were stored before; `quarantined` counts by reason code."""

    accepted: int
    duplicates: int
    quarantined: dict[str, int]


def ingest(*, credential: Credential, body: bytes, media: str) -> Receipt:
    """Store a plain OTLP body. Undecodable when it is none; Unavailable when nothing was stored and it should come again."""
    now_us = micros()
    try:
        with _turn if len(body) >= LARGE else nullcontext():
            linked, held = _read(credential, body, media, now_us)
            packed = _pack(credential.tenant_id, linked, now_us)
        again = partial(_read, credential, body, media, now_us, singly=True)
        stored = _store(credential, linked, held, packed, now_us, again)
    except (DatabaseError, psycopg.Error) as problem:
        log.warning("telemetry not stored", extra={"problem": str(problem), "kind": type(problem).__name__})
        connections["ingest"].close()
        raise Unavailable(
            "The database is busy; nothing was stored. Send the batch again.", retry_after=2
        ) from problem
    _afterwards(credential.tenant_id, stored)
    return Receipt(len(stored.linked), stored.duplicates, by_reason(stored.held))


def _read(
    credential: Credential, body: bytes, media: str, now_us: int, *, singly: bool = False
) -> tuple[Linked, list[Held]]:
    """The events of a body that can be linked, in blocks where they are many alike, and what cannot."""
    tenant_id, provider_id = credential.tenant_id, credential.provider_id
    directory = directory_of(tenant_id)
    if not singly:
        with suppress(OneByOne):
            batch = parse(body, media, tenant_id=tenant_id, provider_id=provider_id)
            return link(batch, credential, directory, now_us)
    batch = parse(body, media, tenant_id=tenant_id, provider_id=provider_id, singly=True)
    return link(batch, credential, directory, now_us)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a committed batch held that was new."""

    linked: Linked
    held: list[Held]
    duplicates: int
    booking: Booking | None
    jobs: dict[str, jobs.Said]


def _store(
    credential: Credential,
    linked: Linked,
    held: list[Held],
    packed: _Packed,
    now_us: int,
    again: Callable[[], tuple[Linked, list[Held]]],
) -> _Stored:
    """Write everything in one transaction; again without what was known, as often as somebody else is faster.

    `again` reads the batch once more, its events one by one."""
    fresh = linked
    for _ in range(TRIES):
        streams, booking = packed
        try:
            with writing("ingest", credential.tenant_id) as cursor:
                for day, data in streams.items():
                    _copy(cursor, EVENTS, COLUMNS, day, data)
                _quarantine(cursor, credential, held, now_us)
                noted = jobs.note(cursor, credential.tenant_id, fresh.jobs(), now_us)
                if booking is not None:
                    for day, data in booking.rows.items():
                        _copy(cursor, booking.table, booking.columns, day, data)
                    booking.sum_up(cursor)
            return _Stored(fresh, held, len(linked) - len(fresh), booking, noted)
        except errors.UndefinedTable:
            partitions.ensure(streams)
        except _AGAIN:
            unknown = _unknown(credential.tenant_id, linked)
            if len(unknown) == len(linked):
                continue  # all are new: somebody else was faster with a job of theirs, or each waited for the other
            if unknown and linked.blocks:
                linked, held = again()
            fresh = _only(unknown, linked)
            packed = _pack(credential.tenant_id, fresh, now_us)
    raise Unavailable("The same events are being stored by others at this moment.", retry_after=1)


def _copy(cursor: Cursor[Any], table: str, columns: Sequence[str], day: date, data: bytes) -> None:
    statement = f"COPY partitions.{table}_{day:%Y%m%d} ({', '.join(columns)}) FROM STDIN (FORMAT binary)"
    copy_in(cursor.connection, statement.encode(), data)


def _pack(tenant_id: UUID, linked: Linked, now_us: int) -> _Packed:
    """The rows of every day, and the ledger's. Names that have no number yet get one first."""
    codes = codebook(tenant_id)
    days = dict(by_day(linked.events))
    blocks: defaultdict[int, list[Block]] = defaultdict(list)
    for block in linked.blocks:
        blocks[block.day].append(block)
    ledger: Ledger = ports.implementation("LEDGER")
    for _ in range(TRIES):
        try:
            packed = {
                date_of(day): rows(days.get(day, ()), blocks.get(day, ()), codes=codes, received_us=now_us)
                for day in sorted({*days, *blocks})
            }
            if not packed:
                return packed, None
            book = ledger.book
            return packed, book(tenant_id=tenant_id, events=linked.events, blocks=linked.blocks, codes=codes)
        except KeyError as unknown:
            intern(tenant_id, {*unknown.args, *names(linked)})
    raise Unavailable("Names of this batch could not be stored.", retry_after=1)


def names(linked: Linked) -> set[str]:
    """Every text of these events that is written as a number."""
    meanings = {event.meaning for event in linked.events} | {block.meaning for block in linked.blocks}
    named = [
        (
            one.provider,
            one.model_requested,
            one.model_used,
            one.finish_reasons,
            one.tool_name,
            one.error_type,
        )
        for one in meanings
    ] + [(one.cost_center, one.outcome) for one in linked.works()]
    return {name for some in named for name in some if name is not None}


def _unknown(tenant_id: UUID, linked: Linked) -> set[bytes]:
    """The ids of the events that are not stored yet."""
    ids = {event.event_id for event in linked.events}
    times = {event.occurred_us for event in linked.events}
    for block in linked.blocks:
        ids.update(rows_of(block.event_ids))
        times |= {int(block.occurred_us.min()), int(block.occurred_us.max())}
    with writing("ingest", tenant_id) as cursor:
        cursor.execute(
            "SELECT telemetry_known(%s, %s, %s)",
            [[UUID(bytes=id) for id in ids], _moment(min(times)), _moment(max(times))],
        )
        return ids - {known.bytes for (known,) in cursor.fetchall()}


def _only(ids: set[bytes], linked: Linked) -> Linked:
    """The events with these ids, each once."""
    wanted = {event.event_id: event for event in reversed(linked.events) if event.event_id in ids}
    return Linked([event for event in linked.events if wanted.get(event.event_id) is event])


def _quarantine(cursor: Cursor[Any], credential: Credential, held: Sequence[Held], now_us: int) -> None:
    if held:
        cursor.execute(
            "SELECT telemetry_quarantine(%s, %s, %s, %s, %s, %s, %s::text[], %s::text[], %s::timestamptz[], %s::text[])",
            [
                credential.tenant_id,
                credential.environment_id,
                credential.provider_id,
                _moment(now_us),
                ROOM,
                [one.id for one in held],
                [one.reason.value for one in held],
                [one.detail for one in held],
                [None if one.occurred_us is None else _moment(one.occurred_us) for one in held],
                [one.payload for one in held],
            ],
        )


_seen: dict[UUID, float] = {}
_heard: dict[UUID, set[UUID]] = {}
"""Tenant → instances that were heard since their last sign of life was written."""


def _afterwards(tenant_id: UUID, stored: _Stored) -> None:
    """What follows from a committed batch. A failure here is logged: the next batch or the schedule makes it good."""
    if not len(stored.linked):
        return
    now = time.monotonic()
    jobs.remember(tenant_id, stored.jobs)
    try:
        _hear(tenant_id, stored.linked.belongings(), now)
        if stored.booking is not None:
            stored.booking.settle()
    except DatabaseError:
        log.exception("the batch is stored; what follows from it was not done yet")


def _hear(tenant_id: UUID, belongings: Iterable[Belonging | None], now: float) -> None:
    """Write when these instances were heard, at most every SEEN_EVERY_SECONDS, and with them all others that wait.

    So a fleet of hundreds is one statement every few seconds; a sign of life is exact to those few seconds.
    """
    waiting = _heard.setdefault(tenant_id, set())
    heard = {one.place.instance_id for one in belongings if one is not None}
    waiting |= heard
    if all(_seen.get(instance, 0.0) >= now for instance in heard):
        return
    _heard[tenant_id] = set()
    together = list(waiting | heard)  # a copy: another thread may still add to it
    # Locked in one order, so that two processes wait for each other instead of locking each other out.
    rows = InstanceStatus.objects.filter(pk__in=together).order_by("pk").select_for_update(of=("self",))
    with db.tenants([tenant_id]):
        at = clock.now()
        InstanceStatus.objects.filter(pk__in=rows.values("pk")).update(telemetry_at=at)
        # What a provider's adapter must say, no span says for it: a dead adapter would look alive.
        local = rows.exclude(instance__provider__kind=Provider.Kind.FEDERATED)
        InstanceStatus.objects.filter(pk__in=list(local.values_list("pk", flat=True))).update(heartbeat_at=at)
    _seen.update(dict.fromkeys(together, now + SEEN_EVERY_SECONDS))


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


def forget() -> None:
    """Drop what is remembered (tests)."""
    jobs.forget()
    _seen.clear()
    _heard.clear()
