"""Jobs that events name: noted once each, with the batch that names them first; later ones only say that they go on.

A batch names a job for every few events, and most are new. New ones are copied, which costs a third of inserting them one
by one; those that are known are brought up to date by a function.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from psycopg import Cursor

from arm.copying import copy_in

from ..parsing.packing import HEADER, TRAILER, text, timestamp
from .linked import Told

REMEMBERED = 50_000
AGAIN_SECONDS = 60.0
COLUMNS: Final = (
    "id",
    "tenant_id",
    "key",
    "outcome",
    "cost_center",
    "reported_by_id",
    "first_seen_at",
    "last_seen_at",
)
_COPY: Final = f"COPY partitions.telemetry_job ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)".encode()
_ROW: Final = len(COLUMNS).to_bytes(2, "big")
_16: Final = b"\x00\x00\x00\x10"


class Said(NamedTuple):
    """What was said of a job: "" for what was not."""

    outcome: str
    cost_center: str
    reporter: UUID
    """The instance that said so."""


_noted: dict[tuple[int, str], tuple[str, str, float]] = {}
"""The number of the tenant's id, and the job → outcome, cost centre, and until when it need not be noted again."""


def job_id(tenant_id: UUID, key: str) -> bytes:
    """The identifier of the tenant's job of this name, as `telemetry_job_id` in the database works it out."""
    id = bytearray(hashlib.sha256(tenant_id.bytes + key.encode()).digest()[:16])
    id[6] = 0x80 | id[6] & 0x0F
    id[8] = 0x80 | id[8] & 0x0F
    return bytes(id)


def note(cursor: Cursor[Any], tenant_id: UUID, told: Mapping[str, Told], now_us: int) -> dict[str, Said]:
    """Note these jobs, in the transaction of the batch that names them.

    Jobs of which this process has just noted the same are left out. Returns what was noted, for `remember`.
    UniqueViolation when somebody else is noting one of them for the first time at this moment.
    """
    found = {
        job: Said(work.outcome or "", work.cost_center or "", instance_id)
        for job, (work, instance_id) in told.items()
    }
    now, number = time.monotonic(), tenant_id.int
    new = {
        key: said
        for key, said in found.items()
        if (seen := _noted.get((number, key))) is None or seen[:2] != said[:2] or seen[2] < now
    }
    if not new:
        return new
    ids = {job_id(tenant_id, key): key for key in new}
    cursor.execute(
        "SELECT telemetry_known_jobs(%s::uuid[])",
        [
            f"{{{','.join(id.hex() for id in ids)}}}"
        ],  # as text: an array of UUIDs costs more to send than to find
        prepare=True,
    )
    known = {row[0].bytes for row in cursor.fetchall()}
    if known:
        _update(cursor, tenant_id, {ids[id]: new[ids[id]] for id in known}, now_us)
    if len(known) < len(ids):
        tenant, seen_at = _16 + tenant_id.bytes, timestamp(now_us) * 2
        rows = [
            _row(id, tenant, ids[id], new[ids[id]], seen_at)
            for id in sorted(ids.keys() - known)  # in one order for everybody: nobody locks another out
        ]
        copy_in(cursor.connection, _COPY, b"".join((HEADER, *rows, TRAILER)))
    return new


def _row(id: bytes, tenant: bytes, key: str, said: Said, seen_at: bytes) -> bytes:
    names = text(key) + text(said.outcome) + text(said.cost_center)
    return _ROW + _16 + id + tenant + names + _16 + said.reporter.bytes + seen_at


def _update(cursor: Cursor[Any], tenant_id: UUID, jobs: Mapping[str, Said], now_us: int) -> None:
    """Say of known jobs that they go on, and what is said of them now."""
    alike: dict[Said, list[str]] = {}
    for key, said in jobs.items():
        alike.setdefault(said, []).append(key)
    noted = [
        {"outcome": said.outcome, "center": said.cost_center, "reporter": said.reporter, "keys": keys}
        for said, keys in alike.items()
    ]
    cursor.execute(
        "SELECT telemetry_note_jobs(%s, to_timestamp(%s / 1000000.0), %s::json)",
        [tenant_id, now_us, msgspec.json.encode(noted).decode()],
        prepare=True,
    )


def remember(tenant_id: UUID, noted: Mapping[str, Said]) -> None:
    """After the commit: these need not be noted again for a while, unless something else is said of them."""
    if len(_noted) >= REMEMBERED:
        _noted.clear()
    until = time.monotonic() + AGAIN_SECONDS
    for key, said in noted.items():
        _noted[tenant_id.int, key] = said.outcome, said.cost_center, until


def forget() -> None:
    """Drop what is remembered (tests)."""
    _noted.clear()
