"""What is kept of live instances, and what counting them says."""

from typing import Any

from django.db import connection

from registry.models import LiveCount


def kept() -> dict[tuple[Any, Any], int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version_id, place, sum(n) FROM registry_livecount, unnest(places, counts) AS one (place, n)"
            " GROUP BY version_id, place HAVING sum(n) <> 0"
        )
        return {(version, place): n for version, place, n in cursor.fetchall()}


def counted() -> dict[tuple[Any, Any], int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version_id, environment_id, count(*) FROM registry_agentinstance WHERE state <> 'retired' GROUP BY 1, 2"
        )
        return {(version, place): n for version, place, n in cursor.fetchall()}


def agree() -> bool:
    """Also each row with itself."""
    assert all(row.live == sum(row.counts) for row in LiveCount.objects.all())
    return kept() == counted()
