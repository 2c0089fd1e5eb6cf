"""Where a role takes only what is proven: one answer for its assignment, its slots and its instances."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Exists

from arm.models import Tenant
from arm.rights import Risk
from evidence.models import SigningKey

from ..models import AgentVersion, DirectoryRules, Environment, RoleDefinition
from . import strict


def careful(role: RoleDefinition, environment: Environment, version: AgentVersion) -> str:
    """Why only approved and proven versions do the role there, as it reads on after the environment's name; nothing where
    less will do."""
    if why := strict(version, environment):
        return why
    return f"has a role of {role.risk} risk" if role.risk in (Risk.HIGH, Risk.CRITICAL) else ""


def asks_card(role: RoleDefinition, environment: Environment, version: AgentVersion) -> str:
    """Why a verified Agent Card is asked for there, as it reads on after the environment's name; nothing where none is, as in
    a tenant that signs nothing yet and asks for no evidence."""
    (why,) = asks_card_all([(role, environment, version)])
    return why


def asks_card_all(rows: Sequence[tuple[RoleDefinition, Environment, AgentVersion]]) -> list[str]:
    """The same of many, in order."""
    why = [careful(*row) for row in rows]
    asks = {
        tenant: _asks_of(tenant)
        for tenant in {version.tenant_id for (_, _, version), one in zip(rows, why, strict=True) if one}
    }
    return [
        one if one and asks[version.tenant_id] else "" for (_, _, version), one in zip(rows, why, strict=True)
    ]


def _asks_of(tenant_id: UUID) -> bool:
    rules = DirectoryRules.objects.filter(tenant=tenant_id, verified_evidence=True)
    keys = SigningKey.objects.filter(tenant=tenant_id, purpose=SigningKey.Purpose.EVIDENCE)
    return Tenant.objects.filter(Exists(rules) | Exists(keys), pk=tenant_id).exists()
