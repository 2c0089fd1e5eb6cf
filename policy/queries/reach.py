"""What a stop would reach, in numbers: shown before the click and kept with the posture."""

from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from arm import clock
from arm.models import Tenant, TenantRow
from registry.lifecycle import InstanceState
from registry.models import AgentInstance

from ..lifecycle import WAITING, ApprovalKind
from ..models import ApprovalRequest, Posture


def instances_below(scope: Tenant | TenantRow) -> QuerySet[AgentInstance]:
    """Every agent that is not retired and stands below the scope."""
    live = AgentInstance.objects.live()
    if isinstance(scope, Tenant):
        return live.filter(tenant=scope)
    if isinstance(scope, AgentInstance):
        return live.filter(pk=scope.pk)
    (name,) = Posture.members_for(scope)
    return live.filter(**{name: scope})


def what_stands_above(instance: AgentInstance, version_id: UUID | None = None) -> Q:
    """The condition on a binding or a stop that reaches this agent, with the version that it runs or ran."""
    about = (
        Q(whole_tenant=True)
        | Q(environment=instance.environment_id)
        | Q(template=instance.template_id)
        | Q(version=version_id or instance.version_id)
        | Q(instance=instance.pk)
    )
    if instance.role_id:
        about |= Q(role=instance.role_id)
    if instance.slot_id:
        about |= Q(slot=instance.slot_id)
    return about & Q(tenant=instance.tenant_id)


def numbers(instances: QuerySet[AgentInstance]) -> dict[str, Any]:
    """Agents by state, providers, environments, and the requests about them that somebody may still decide."""
    states = dict(instances.order_by().values_list("state").annotate(Count("pk")))
    places = instances.order_by().aggregate(
        providers=Count("provider", distinct=True), environments=Count("environment", distinct=True)
    )
    waiting = ApprovalRequest.objects.filter(
        kind=ApprovalKind.TOOL_CALL,
        state__in=WAITING,
        expires_at__gt=clock.now(),
        instance__in=instances,
    ).count()
    return {
        "agents": sum(states.values()),
        "active": states.get(InstanceState.ACTIVE, 0),
        "states": states,
        "providers": places["providers"],
        "environments": places["environments"],
        "waiting": waiting,
    }
