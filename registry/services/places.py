"""Environments, providers, projects and the keys that speak for a place or an instance."""

from django.db import transaction
from django.db.models import Max

from arm import changes
from arm import services as core
from arm.models import ApiKey, Tenant, User
from arm.permissions import require
from arm.rights import Right, Risk

from ..models import AgentInstance, Environment, KeyScope, Project, Provider
from .asking import Duplicate, require_reason, require_same_tenant

DEFAULT_ENVIRONMENTS = (
    ("dev", "Development", Risk.LOW, False),
    ("staging", "Staging", Risk.MEDIUM, False),
    ("prod", "Production", Risk.HIGH, True),
)


@transaction.atomic
def ensure_tenant_defaults(*, tenant: Tenant, actor: User) -> None:
    """dev, staging and prod, and the provider `local`: what a tenant lacks of them is made."""
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    reason = "Every tenant starts with it."
    held = set(Environment.objects.filter(tenant=tenant).values_list("slug", flat=True))
    for slug, name, risk, production in DEFAULT_ENVIRONMENTS:
        if slug not in held:
            create_environment(
                tenant=tenant,
                slug=slug,
                name=name,
                risk_default=risk,
                production=production,
                actor=actor,
                reason=reason,
            )
    if not Provider.objects.filter(tenant=tenant, slug="local").exists():
        create_provider(tenant=tenant, slug="local", name="Local", actor=actor, reason=reason)


@transaction.atomic
def create_environment(
    *,
    tenant: Tenant,
    slug: str,
    name: str,
    actor: User,
    reason: str,
    production: bool = False,
    risk_default: Risk = Risk.MEDIUM,
    retention_days: int = 90,
    cost_tags: dict[str, str] | None = None,
) -> Environment:
    """A new environment at the end of the channel order. Duplicate where the slug is taken."""
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    require_reason(reason)
    Tenant.objects.select_for_update().get(pk=tenant.pk)  # one at a time: places in the order are unique
    if taken := Environment.objects.filter(tenant=tenant, slug=slug).first():
        raise Duplicate(f"There is already an environment “{slug}”.", taken)
    last = Environment.objects.filter(tenant=tenant).aggregate(last=Max("position"))["last"] or 0
    environment = Environment.objects.create(
        tenant=tenant,
        slug=slug,
        name=name,
        position=last + 1,
        production=production,
        risk_default=risk_default,
        retention_days=retention_days,
        cost_tags=cost_tags or {},
    )
    after = {"slug": slug, "position": last + 1, "production": production, "risk_default": risk_default}
    changes.record(actor, "registry.environment.created", environment, after=after, reason=reason)
    return environment


@transaction.atomic
def create_project(
    *, tenant: Tenant, slug: str, name: str, actor: User, reason: str, cost_center: str = ""
) -> Project:
    """What agents' work can belong to, for costs. Duplicate where the slug is taken."""
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    require_reason(reason)
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    if taken := Project.objects.filter(tenant=tenant, slug=slug).first():
        raise Duplicate(f"There is already a project “{slug}”.", taken)
    project = Project.objects.create(
        tenant=tenant, slug=slug, name=name, cost_center=cost_center or tenant.cost_center
    )
    after = {"slug": slug, "name": name, "cost_center": project.cost_center}
    changes.record(actor, "registry.project.created", project, after=after, reason=reason)
    return project


@transaction.atomic
def update_project(*, project: Project, actor: User, reason: str, **values: str) -> Project:
    """Call it something else (`name`), or charge somebody else (`cost_center`; what was charged before stays). Agents
    keep the cost centre that they have been given."""
    require(actor, Right.MANAGE_DIRECTORY, project)
    require_reason(reason)
    if unknown := values.keys() - {"name", "cost_center"}:
        raise TypeError(f"update_project() does not change {', '.join(sorted(unknown))}")
    project = Project.objects.select_for_update().get(pk=project.pk)
    after = {name: value for name, value in values.items() if getattr(project, name) != value}
    if not after:
        return project
    before = {name: getattr(project, name) for name in after}
    for name, value in after.items():
        setattr(project, name, value)
    project.save(update_fields=list(after))
    changes.record(actor, "registry.project.updated", project, before=before, after=after, reason=reason)
    return project


@transaction.atomic
def create_provider(
    *,
    tenant: Tenant,
    slug: str,
    name: str,
    actor: User,
    reason: str,
    kind: Provider.Kind = Provider.Kind.LOCAL,
    description: str = "",
    heartbeat_seconds: int = 60,
) -> Provider:
    """Whose machines run instances. Duplicate where the slug is taken."""
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    require_reason(reason)
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    if taken := Provider.objects.filter(tenant=tenant, slug=slug).first():
        raise Duplicate(f"There is already a provider “{slug}”.", taken)
    provider = Provider.objects.create(
        tenant=tenant,
        slug=slug,
        name=name,
        kind=kind,
        description=description,
        heartbeat_seconds=heartbeat_seconds,
    )
    after = {"slug": slug, "kind": kind, "heartbeat_seconds": heartbeat_seconds}
    changes.record(actor, "registry.provider.created", provider, after=after, reason=reason)
    return provider


@transaction.atomic
def issue_ingest_key(
    *,
    environment: Environment,
    provider: Provider,
    name: str,
    actor: User | None,
    reason: str,
    days: int | None = 365,
) -> core.Issued:
    """A key that sends telemetry for one provider in one environment. `actor` None: the machine's owner."""
    require_same_tenant(environment=environment, provider=provider)
    issued = core.issue_key(
        tenant=environment.tenant, kind=ApiKey.Kind.INGEST, name=name, actor=actor, reason=reason, days=days
    )
    KeyScope.objects.create(
        tenant_id=environment.tenant_id, key=issued.key, environment=environment, provider=provider
    )
    return issued


@transaction.atomic
def issue_workload_token(
    *, instance: AgentInstance, name: str, actor: User | None, reason: str, days: int | None = 365
) -> core.Issued:
    """A token that speaks for this one instance: decisions, heartbeats and telemetry of itself."""
    issued = core.issue_key(
        tenant=instance.tenant, kind=ApiKey.Kind.WORKLOAD, name=name, actor=actor, reason=reason, days=days
    )
    KeyScope.objects.create(tenant_id=instance.tenant_id, key=issued.key, instance=instance)
    return issued
