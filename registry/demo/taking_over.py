"""Fleets that ran before ARM: they come in by rows, as a table would bring them, outside the channels."""

from typing import Any

from arm.models import User
from registry import services
from registry.models import AgentInstance, AgentVersion, Environment, Provider, RoleDefinition
from registry.protocol.rows import InstanceRow


def take_over(
    version: AgentVersion,
    place: Environment,
    provider: Provider,
    *,
    name: str,
    actor: User,
    role: RoleDefinition | None = None,
    labels: dict[str, Any] | None = None,
    reason: str = "It ran before we had ARM",
) -> AgentInstance:
    """An instance that is at work already, taken into the directory as it is (ADR 59)."""
    row = InstanceRow(
        0, version.pk, place.slug, provider.slug, name, role.slug if role else "", labels=labels or {}
    )
    (made,) = services.provision_instances(tenant=version.tenant, rows=[row], actor=actor, reason=reason)
    return made
