"""CPU seconds as the kernel counts them: of the processes that a bench has started, and of its PostgreSQL."""

import os
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Spent:
    """Seconds of CPU: `ours` of the processes below this one, `postgres` of the server's."""

    ours: float
    postgres: float


class Meter:
    """Counts from when it is made. Processes that have ended since are not counted, so a load generator is not."""

    def __init__(self) -> None:
        self._ours, self._postgres = _below(os.getpid()), _postgres()

    def seconds(self) -> Spent:
        """What those processes that were there at the beginning, or came since and stayed, have used since."""
        return Spent(_since(self._ours, _below(os.getpid())), _since(self._postgres, _postgres()))


def _since(before: dict[int, float], after: dict[int, float]) -> float:
    return sum(used - before.get(pid, 0.0) for pid, used in after.items())


def _below(ancestor: int) -> dict[int, float]:
    """Every process that descends from this one, and the seconds it has used."""
    rows = {pid: _stat(pid) for pid in (int(path.name) for path in PROC.iterdir() if path.name.isdigit())}
    found: dict[int, float] = {}
    wanted = {ancestor}
    while wanted:
        children = {pid: row for pid, row in rows.items() if row is not None and row[0] in wanted}
        found |= {pid: row[1] for pid, row in children.items()}
        wanted = set(children)
    return found


def _postgres() -> dict[int, float]:
    """Sessions and helpers of the server. RuntimeError where it runs elsewhere: there is nothing to read then."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        pids = [pid for (pid,) in cursor.fetchall()]
    rows = {pid: _stat(pid) for pid in pids if _name(pid) == "postgres"}
    if not rows:
        raise RuntimeError("PostgreSQL does not run on this machine, so its CPU cannot be read")
    return {pid: row[1] for pid, row in rows.items() if row is not None}


def _name(pid: int) -> str:
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _stat(pid: int) -> tuple[int, float] | None:
    """The parent, and the seconds used with all threads; None where the process has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS
