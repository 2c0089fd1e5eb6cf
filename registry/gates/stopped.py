"""What stopped a rollout is dealt with before its version is bound anew (ADR 64)."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db.models import Q

from arm.ports import incidents

from ..engine import RolloutState
from ..models import AgentVersion, DeploymentSlot, Rollout
from . import Verdict
from .many import OneOfMany, Pairs


class NothingStands(OneOfMany):
    """Before a binding: no incident stands that stopped a rollout of this version, in this channel or one before it.
    Aborting that rollout and binding the version plainly does not pass by the incident."""

    name = "no incident stands"

    def check_all(self, pairs: Pairs) -> list[Verdict]:
        rows = Rollout.objects.filter(
            Q(state=RolloutState.PAUSED) | Q(state=RolloutState.ABORTED),
            version__in={version.pk for _, version in pairs},
            incident_id__isnull=False,
        ).select_related("environment", "role", "version__template")
        stopped = list(rows.order_by("-pk"))
        standing: dict[UUID, str] = {}
        for tenant in {rollout.tenant_id for rollout in stopped}:
            named = {one.incident_id for one in stopped if one.tenant_id == tenant and one.incident_id}
            standing |= incidents().standing_among(tenant_id=tenant, incident_ids=named)
        return [self._verdict(slot, version, stopped, standing) for slot, version in pairs]

    def _verdict(
        self,
        slot: DeploymentSlot,
        version: AgentVersion,
        stopped: Sequence[Rollout],
        standing: Mapping[UUID, str],
    ) -> Verdict:
        for rollout in stopped:
            here = rollout.environment.position <= slot.environment.position
            named = standing.get(rollout.incident_id) if rollout.incident_id else None
            if rollout.version_id == version.pk and here and named:
                said = f"The rollout of {rollout} was stopped with incident {named}; resolve that first."
                return Verdict(self.name, False, said, rollout.get_absolute_url())
        return Verdict(self.name, True, "No incident that stopped a rollout of it stands.")
