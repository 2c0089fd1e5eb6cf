"""What replacements take over of policies."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from arm.models import User
from registry.facts import Carry, Pairs

from .. import services


class BindingsCarried:
    """settings.CARRIED_OVER: see registry.facts.CarriedOver."""

    kind = "policy"

    def own(self, instances: Collection[UUID], actor: User | None = None) -> Mapping[UUID, Sequence[str]]:
        return services.own_policies(instances, actor)

    def carry(self, pairs: Pairs, actor: User | None, reason: str) -> list[Carry]:
        return services.carry_policies(pairs, actor, reason)
