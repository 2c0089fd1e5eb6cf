"""What replacements take over of policies."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from arm.models import User
from arm.permissions import visible
from arm.rights import Right
from registry.facts import Carry, Pairs

from .. import services
from ..models import Binding


class BindingsCarried:
    """settings.CARRIED_OVER: see registry.facts.CarriedOver."""

    kind = "policy"

    def own(self, instances: Collection[UUID], actor: User | None = None) -> Mapping[UUID, Sequence[str]]:
        return services.own_policies(instances, actor)

    def seen(self, rules: Collection[UUID], actor: User) -> Collection[UUID]:
        rows = Binding.objects.filter(pk__in=rules)
        return set(visible(rows, actor, Right.READ_POLICY).values_list("pk", flat=True))

    def carry(self, pairs: Pairs, actor: User | None, reason: str) -> list[Carry]:
        return services.carry_policies(pairs, actor, reason)
