"""Background work of the directory."""

from uuid import UUID

from arm.tasks import in_steps

from . import services


@in_steps
def work_off_bulk(*, tenant_id: UUID, run_id: str) -> None:
    """Preview or apply the rows of a large act that wait."""
    services.work_off_bulk(tenant_id=tenant_id, run_id=UUID(run_id))
