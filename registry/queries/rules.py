"""What a tenant asks of its whole directory, set or not."""

from dataclasses import dataclass

from arm.models import Tenant
from arm.rights import Risk

from ..models import DirectoryRules, Environment


@dataclass(frozen=True, slots=True)
class Rules:
    """`channels`: short names of the environments, in the order in which versions climb them."""

    profiles: list[str]
    prompts_kept: bool
    verified_evidence: bool
    deprecates_from: str
    providers: list[str]
    approvals: dict[str, int]
    channels: list[str]


def rules_of(tenant: Tenant) -> Rules:
    """The rules as they are; where nobody has set any, nothing is asked."""
    held = DirectoryRules.objects.filter(tenant=tenant).first() or DirectoryRules(tenant=tenant)
    order = Environment.objects.filter(tenant=tenant).order_by("position")
    return Rules(
        list(held.required_profiles),
        held.prompts_kept,
        held.verified_evidence,
        held.deprecates_from,
        list(held.allowed_providers),
        {risk.value: held.approvals.get(risk, 1) for risk in Risk},
        list(order.values_list("slug", flat=True)),
    )
