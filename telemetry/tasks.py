"""What the worker does for telemetry: partitions by schedule, and what follows an incident."""

from typing import Any
from uuid import UUID

from .services import deprecate_by_rule, partitions


def keep_partitions(**_: Any) -> str:
    """Make the partitions of the next days and drop those that retention has passed. May run at any time, twice."""
    made = partitions.ensure(partitions.coming_days())
    return f"{made} made, {partitions.drop_expired()} dropped"


def incident_told(*, tenant_id: UUID, incident_id: str, **_: Any) -> bool:
    """An incident was opened, came back, or is judged anew: where the tenant says so, its version is deprecated."""
    return deprecate_by_rule(incident_id=UUID(incident_id))
