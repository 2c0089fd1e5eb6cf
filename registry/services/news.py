"""The news of a version: who subscribes hears of every change of its record."""

from arm import tasks
from arm.models import ChangeRecord

from ..models import AgentVersion


def tell(record: ChangeRecord, version: AgentVersion) -> None:
    tasks.announce(
        record.verb,
        tenant_id=version.tenant_id,
        version_id=str(version.pk),
        change_id=str(record.pk),
        state=version.state,
    )
