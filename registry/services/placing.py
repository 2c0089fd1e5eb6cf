"""The rows of an instance that is new, and who is told of it: what provisioning and spawning share."""

from collections.abc import Mapping
from datetime import datetime

from arm import tasks
from arm.models import ChangeRecord, User

from .. import gates
from ..models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    Environment,
    InstanceInterval,
    InstanceStatus,
    Provider,
    RoleDefinition,
)


def place_instance(
    *,
    version: AgentVersion,
    environment: Environment,
    provider: Provider,
    name: str,
    role: RoleDefinition | None,
    cost_center: str,
    labels: Mapping[str, str] | None,
    slot: DeploymentSlot | None = None,
    parent: AgentInstance | None = None,
) -> AgentInstance:
    """The rows of a new instance in Provisioning. For services that have asked for the right and record it."""
    instance = AgentInstance.objects.create(
        tenant_id=version.tenant_id,
        version=version,
        template_id=version.template_id,
        environment=environment,
        provider=provider,
        slot=slot,
        role=role,
        name=name,
        cost_center=cost_center,
        labels=dict(labels or {}),
        parent=parent,
        depth=parent.depth + 1 if parent else 0,
    )
    InstanceStatus.objects.create(instance=instance, tenant_id=instance.tenant_id)
    open_interval(instance, instance.state_since)
    return instance


def tell_placed(record: ChangeRecord, instance: AgentInstance, actor: User | None, reason: str) -> None:
    """Tell who must hear of a new instance."""
    tell_of(record, instance)
    gates.tell_changed([instance.pk], actor, reason)


def open_interval(instance: AgentInstance, since: datetime) -> None:
    InstanceInterval.objects.create(
        tenant_id=instance.tenant_id,
        instance=instance,
        state=instance.state,
        version_id=instance.version_id,
        since=since,
        known_from=since,
    )


def tell_of(record: ChangeRecord, instance: AgentInstance) -> None:
    tasks.announce(
        "registry.instance.moved",
        tenant_id=instance.tenant_id,
        instance_id=str(instance.pk),
        change_id=str(record.pk),
        state=instance.state,
    )
