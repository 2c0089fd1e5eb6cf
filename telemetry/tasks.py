"""Scheduled work of telemetry."""

from typing import Any

from .services import partitions


def keep_partitions(**_: Any) -> str:
    """Make the partitions of the next days and drop those that retention has passed. May run at any time, twice."""
    made = partitions.ensure(partitions.coming_days())
    return f"{made} made, {partitions.drop_expired()} dropped"
