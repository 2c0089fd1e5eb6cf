"""What the federation answers to the apps below it: who is told, how states are known, panels, navigation, search."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from arm.models import User
from registry.models import AgentInstance

from . import services
from .queries import fleet


class ProvidersTold:
    """registry's port: providers hear of every change of what is wanted, in the transaction that makes it."""

    def changed(self, *, instances: Sequence[UUID], actor: User | None, reason: str) -> None:
        services.decide(instances=instances, actor=actor, reason_code="wanted")


class Certainty:
    """registry's port: attested, or merely reported."""

    def of(self, instances: Sequence[AgentInstance]) -> Mapping[UUID, str]:
        return fleet.certainties(instances)
