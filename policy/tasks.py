"""What happens by itself: partitions are made ahead."""

from datetime import timedelta

from django.db import connections

from arm import clock

AHEAD, BEHIND = timedelta(days=14), timedelta(days=2)


def prepare_partitions(alias: str = "default") -> int:
    """Make the decisions' partitions around today; returns how many were missing."""
    today = clock.today()
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT policy_make_partitions(%s, %s)", [today - BEHIND, today + AHEAD])
        return int(cursor.fetchone()[0])
