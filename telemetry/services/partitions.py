"""Daily partitions of the event stream and the ledger: made when needed, dropped after retention."""

from collections.abc import Iterable
from datetime import date, timedelta

from django.db import connections, transaction
from django.db.models import Max

from arm import clock, db
from arm.pg.base import role_name
from registry.models import Environment

PARENTS = ("telemetry_event", "costs_ledgerentry")
AHEAD_DAYS = 3
INGEST_MAY_CALL = (
    "telemetry_known(uuid[], timestamptz, timestamptz)",
    "telemetry_quarantine(uuid, uuid, uuid, timestamptz, integer, uuid[], text[], text[], timestamptz[], text[])",
    "telemetry_note_jobs(uuid, timestamptz, json)",
    "telemetry_known_jobs(uuid[])",
)
APP_MAY_CALL = ("telemetry_ensure_partition(text, date)", "telemetry_drop_partitions(text, date)")


def prepare(alias: str) -> None:
    """After migrating, on the owner's alias: hand out the functions and make the partitions of the next days."""
    with connections[alias].cursor() as cursor:
        for functions, role in ((INGEST_MAY_CALL, "ingest"), (APP_MAY_CALL, "app")):
            for function in functions:
                cursor.execute(f'GRANT EXECUTE ON FUNCTION {function} TO "{role_name(role)}"')
    ensure(coming_days(), using=alias)


def coming_days() -> list[date]:
    """Yesterday to AHEAD_DAYS from now: what must exist before it is needed."""
    today = clock.today()
    return [today + timedelta(days=n) for n in range(-1, AHEAD_DAYS + 1)]


def ensure(days: Iterable[date], using: str = "default") -> int:
    """Make the partitions of these days where they are missing. Returns how many were made."""
    made = 0
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        for day in days:
            for parent in PARENTS:
                cursor.execute("SELECT telemetry_ensure_partition(%s, %s)", [parent, day])
                made += bool(cursor.fetchone()[0])
    return made


def drop_expired() -> int:
    """Drop the partitions of events that every environment's retention has passed. The ledger keeps its own.

    Returns how many were dropped.
    """
    with db.tenants(db.all_tenants()):
        longest = Environment.objects.aggregate(days=Max("retention_days"))["days"]
    if longest is None:
        return 0
    before = clock.today() - timedelta(days=longest)
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT telemetry_drop_partitions('telemetry_event', %s)", [before])
        return int(cursor.fetchone()[0])
