"""The demo's jobs: what each asks, who is fit for it, and who does it."""

from decimal import Decimal
from uuid import UUID

from arm.demo import Demo
from arm.rights import Risk
from registry import fitness, services
from registry.lifecycle import VersionState
from registry.models import AgentVersion, Environment, RoleDefinition

ROLES = (
    ("bookkeeper", "Bookkeeper", 2, Risk.HIGH, "finance", {"bookkeeping": 90}, ("data-protection",)),
    ("first-line", "First-line support", 3, Risk.MEDIUM, "support", {"support": 80}, ()),
    ("researcher", "Researcher", 3, Risk.LOW, "sales", {"daily-work": 80}, ()),
    ("reviewer", "Reviewer", 2, Risk.HIGH, "legal", {"daily-work": 90}, ("data-protection",)),
    ("engineer", "Engineering assistant", 3, Risk.MEDIUM, "engineering", {"daily-work": 70}, ()),
)
"""Short name, name, tier, risk, team, capabilities, certifications: apps above measure and issue them."""
Fitting = dict[UUID, list[RoleDefinition]]


def define(
    demo: Demo, slug: str, name: str, tier: int, risk: Risk, cost_center: str, needs: dict[str, int], certified: tuple[str, ...]
) -> RoleDefinition:  # fmt: skip
    return services.create_role(
        tenant=demo.tenant, slug=slug, name=name, tier=tier, risk=risk, cost_center=cost_center,
        purpose=f"{name} for the {cost_center} team.", actor=demo.people["judy"], reason="The first job list",
        capabilities=[{"name": name, "least": least} for name, least in needs.items()], certifications=list(certified),
        budget_per_day=Decimal(40), budget_per_month=Decimal(900), budget_per_outcome=Decimal("0.60"),
        success_rate=Decimal("97.5"), latency_ms=8000, availability=Decimal("99.5"), failover=risk is Risk.HIGH,
        coverage=[
            {"environment": slug, "least": max(1, round(most * demo.scale))} for slug, most in (("prod", 12), ("staging", 20))
        ],
    )  # fmt: skip


def fitting(roles: list[RoleDefinition]) -> Fitting:
    """By version, the roles whose every gate lets it in; asked once."""
    runnable = (VersionState.TESTING, VersionState.CANDIDATE, VersionState.APPROVED)
    versions = AgentVersion.objects.filter(state__in=runnable).select_related("template", "genome")
    return {
        version.pk: [
            role for role in roles if not fitness.lacking(fitness.for_role(role, Environment(), version))
        ]
        for version in versions
    }


def assign(demo: Demo, roles: list[RoleDefinition], fitting: Fitting) -> None:
    """The newest approved version of an agent that fits does the job in staging, too."""
    staging = Environment.objects.get(tenant=demo.tenant, slug="staging")
    approved = list(
        AgentVersion.objects.filter(state=VersionState.APPROVED)
        .select_related("template", "genome")
        .order_by("-number", "template_id")
    )
    for role in roles:
        for version in [one for one in approved if role in fitting[one.pk]][:2]:
            with demo.at(max(version.state_since, demo.moment(0.62, 0.7))):
                services.assign_role(
                    role=role, environment=staging, version=version, actor=demo.people["carol"],
                    reason=f"Trial as {role.name.lower()}",
                )  # fmt: skip
