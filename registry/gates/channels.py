"""What a version has shown in the channel before: why a binding there does not let it climb."""

from ..engine import RolloutState
from ..engine.rollouts import HELD
from ..models import AgentVersion, Environment, RoleDefinition, RolloutSlot, SlotBinding


def why_not_proven(channel: Environment, role: RoleDefinition, version: AgentVersion) -> str:
    """Why nothing that was bound there for the role proves the version, as a sentence without its end that closes with
    the channel's name; nothing where something does."""
    been = SlotBinding.objects.filter(version=version, slot__environment=channel, slot__role=role)
    if been.proven().exists():
        return ""
    rows = RolloutSlot.objects.filter(rollout__version=version, slot__environment=channel, slot__role=role)
    if rows.filter(held=True, rollout__state__in=HELD).exists():
        return f"{version} is still baking for {role} in {channel}"
    if rows.filter(bound_at__isnull=False, rollout__state=RolloutState.ABORTED).exists():
        return f"{version} was taken back for {role} in {channel}"
    return f"{version} was never bound for {role} in {channel}"
