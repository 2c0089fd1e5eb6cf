"""Scheduled work of costs."""

from typing import Any
from uuid import UUID

from arm import tasks

from .services import pass_cap, unsettled


def sweep_caps(**_: Any) -> int:
    """Queue `settle_caps` for every tenant."""
    return tasks.each_tenant("costs.tasks.settle_caps")


def settle_caps(*, tenant_id: UUID, **_: Any) -> int:
    """Act on caps that are passed and not acted on yet: a process may have died between its commit and that."""
    passed = unsettled(tenant_id)
    for one in passed:
        pass_cap(one)
    return len(passed)
