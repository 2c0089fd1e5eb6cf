"""The planner's statistics: collected for every table that has none or has outgrown them."""

from typing import Any

from django.db import connections

from arm.pg.base import role_name

FUNCTIONS = ("arm_outgrown(boolean)", "arm_analyse(oid)")


def prepare(alias: str) -> None:
    """After migrating, on the owner's alias: hand out the functions, and collect what is missing.

    Every start comes by here, so also the first one after a crash.
    """
    with connections[alias].cursor() as cursor:
        for function in FUNCTIONS:
            cursor.execute(f'GRANT EXECUTE ON FUNCTION {function} TO "{role_name("app")}"')
    collect(alias)


def collect(using: str = "default") -> int:
    """ANALYZE what has grown by a fifth since the last time; partitions first, then their parents.

    Returns how many tables that were. Outside a transaction each is done in one of its own.
    """
    done = 0
    with connections[using].cursor() as cursor:
        for parents in (False, True):
            cursor.execute("SELECT arm_outgrown(%s)", [parents])
            for (table,) in cursor.fetchall():
                cursor.execute("SELECT arm_analyse(%s)", [table])
                done += 1
    return done


def keep(**_: Any) -> str:
    """The schedule's: `collect` as the application's role."""
    return f"{collect()} tables analysed"
