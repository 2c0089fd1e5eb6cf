"""The slots that rows of instances name, found in one query for all of them."""

from collections.abc import Sequence
from uuid import UUID

from arm.models import Tenant, User
from arm.permissions import visible
from arm.rights import Right

from ..models import DeploymentSlot
from ..protocol.rows import InstanceRow, Slot

Named = Slot | tuple[str, str, str, int]


def slot_of(row: InstanceRow) -> Named:
    """What `slots_named` finds the row's slot by."""
    if isinstance(row.slot, int):
        return row.environment, row.role, row.provider, row.slot
    assert row.slot is not None
    return row.slot


def slots_named(tenant: Tenant, given: Sequence[InstanceRow], actor: User) -> dict[Named, DeploymentSlot]:
    """By `slot_of`, those that the actor may see."""
    said = [row for row in given if row.slot is not None]
    if not said:
        return {}
    rows = DeploymentSlot.objects.filter(tenant=tenant).select_related(
        "environment", "role", "provider", "current_version__template"
    )
    seen = visible(rows, actor, Right.READ_DIRECTORY)
    keys = {row.slot for row in said if isinstance(row.slot, UUID)}
    found: dict[Named, DeploymentSlot] = {
        held.pk: held for held in (seen.filter(pk__in=keys) if keys else ())
    }
    numbered = {row.role for row in said if isinstance(row.slot, int)}
    for held in seen.filter(role__slug__in=numbered) if numbered else ():
        found[held.environment.slug, held.role.slug, held.provider.slug, held.ordinal] = held
    return found
