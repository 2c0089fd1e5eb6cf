"""What a version has shown in the channel before: why a binding there does not let it climb."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q

from ..engine import HELD, RolloutState, StepState
from ..models import AgentVersion, DeploymentSlot, Environment, RoleDefinition, Rollout, SlotBinding

Asked = tuple[UUID, UUID]
"""A role and a version that is to climb for it, by their keys."""


def why_not_proven_all(
    channel: Environment, unproven: Collection[tuple[RoleDefinition, AgentVersion]]
) -> dict[Asked, str]:
    """Why nothing that was bound in the channel for the role proves the version, of pairs of which nothing does: a sentence
    without its end, that closes with the channel's name. Two statements at most, however many are asked about."""
    left = {(role.pk, version.pk): (role, version) for role, version in unproven}
    if not left:
        return {}
    about = Q(version__in={version for _, version in left})
    held, back = Q(state__in=HELD), Q(state=RolloutState.ABORTED, steps__state=StepState.STOPPED)
    rollouts = Rollout.objects.filter(
        about, held | back, environment=channel, role__in={role for role, _ in left}
    )
    bakes: set[Asked] = set()
    taken: set[Asked] = set()
    for role_id, version_id, state in rollouts.order_by().values_list("role", "version", "state"):
        (taken if state == RolloutState.ABORTED else bakes).add((role_id, version_id))
    kept: dict[Asked, DeploymentSlot] = {}
    if taken & left.keys() - bakes:
        there = SlotBinding.objects.filter(
            about, slot__environment=channel, slot__role__in={role for role, _ in left}
        )
        rows = there.kept().select_related("slot__environment", "slot__role", "slot__provider")
        for row in rows.order_by("-since"):
            kept.setdefault((row.slot.role_id, row.version_id), row.slot)
    found = {}
    for key, (role, version) in left.items():
        if key in bakes:
            found[key] = f"{version} is still baking for {role} in {channel}"
        elif key in taken and key in kept:
            found[key] = (
                f"{version} stays in {kept[key]} since its rollout was aborted, and nobody has bound it anew in {channel}"
            )
        elif key in taken:
            found[key] = f"{version} was taken back for {role} in {channel}"
        else:
            found[key] = f"{version} was never bound for {role} in {channel}"
    return found
