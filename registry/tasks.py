"""What the worker does for the directory: follow what has changed, and look for what is overdue."""

from typing import Any
from uuid import UUID

from arm import tasks

from . import services
from .lifecycle import VersionState
from .models import AgentVersion, DeploymentSlot


def version_moved(*, tenant_id: UUID, version_id: str, **_: Any) -> int:
    """A newer approved version supersedes others; what slots have left of a deprecated one is drained."""
    version = AgentVersion.objects.get(pk=version_id)
    if version.state == VersionState.APPROVED:
        return len(services.supersede(tenant_id=tenant_id, template_id=version.template_id))
    if version.state == VersionState.DEPRECATED:
        return services.drain_left(slots=services.slots_of(version))
    return 0


def slot_bound(*, tenant_id: UUID, slot_id: str, **_: Any) -> int:
    """What the slot has left is drained if it is deprecated; a version that no slot has any more may be superseded."""
    slots = DeploymentSlot.objects.filter(pk=slot_id)
    done = services.drain_left(slots=slots)
    templates = slots.exclude(current_version=None).values_list("current_version__template", flat=True)
    for template_id in templates:
        done += len(services.supersede(tenant_id=tenant_id, template_id=template_id))
    return done


def something_changed(*, tenant_id: UUID, template_id: str = "", **_: Any) -> int:
    """A suite, its assignment or a policy has changed: candidates that would not pass now are sent back."""
    key = UUID(template_id) if template_id else None
    return len(services.recheck_candidates(tenant_id=tenant_id, template_id=key))


def sweep_overdue(**_: Any) -> int:
    """Queue `tell_overdue` for every tenant."""
    return tasks.each_tenant("registry.tasks.tell_overdue")


def tell_overdue(*, tenant_id: UUID, **_: Any) -> int:
    """Tell of deprecated versions that slots still bind past their due date."""
    return services.tell_overdue(tenant_id=tenant_id)
