"""The rows of an instance that is new, and who is told of it: what provisioning and spawning share."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from arm import tasks
from arm.errors import Problem
from arm.models import ChangeRecord, User

from .. import gates
from ..gates.open_places import why_not_at
from ..gates.placed import why_not_in
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
from ..protocol.rows import why_no_labels
from .asking import wrong


def why_not_placed(
    *,
    version: AgentVersion | None,
    environment: Environment | None,
    provider: Provider | None,
    slot: DeploymentSlot | None,
    role: RoleDefinition | None,
    shut: str | None = None,
) -> Iterator[tuple[str, str, str]]:
    """Member, code and message of everything that speaks against a new instance there, as far as it can be said of what is
    given. `shut`: why nothing begins at the provider, where that is known already."""
    if version is not None and (said := version.why_nothing_new(slot)):
        yield "version", "conflict", said
    if shut is None:
        shut = why_not_at(provider) if provider is not None else ""
    if shut:
        yield "provider", "conflict", shut
    if slot is None:
        return
    elsewhere = environment is not None and environment.pk != slot.environment_id
    if elsewhere or (provider is not None and provider.pk != slot.provider_id):
        yield "slot", "place", f"{slot} is in another environment or at another provider."
    if slot.why_closed:
        yield "slot", "closed", slot.why_closed
    if version is not None and slot.current_version is not None and (said := why_not_in(version, slot)):
        yield "slot", "version", said
    if role is not None and role.pk != slot.role_id:
        yield "role", "slot", f"{slot} is for the role {slot.role}: what works there does that, not {role}."


def provisioning_problems(
    *,
    version: AgentVersion | None = None,
    environment: Environment | None = None,
    provider: Provider | None = None,
    slot: DeploymentSlot | None = None,
    role: RoleDefinition | None = None,
    **_: Any,
) -> list[Problem]:
    """What `provision_instance` refuses of these rows, as far as they are given: for doors that name what is wrong with a
    request before all of its rows are found."""
    if slot is not None:  # as it is bound now
        rows = DeploymentSlot.objects.select_related("environment", "role", "current_version__template")
        slot = rows.get(pk=slot.pk)
    found = why_not_placed(version=version, environment=environment, provider=provider, slot=slot, role=role)
    return [wrong(*one) for one in found]


def wrong_labels(labels: Mapping[str, str] | None) -> list[Problem]:
    said = why_no_labels(labels or {})
    return [wrong("labels", *said)] if said else []


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
