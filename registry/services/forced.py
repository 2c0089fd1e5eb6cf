"""A deprecation that an incident forces: by a person in one click, or by the rule of the tenant."""

from uuid import UUID

from django.db import transaction

from arm import changes, ids
from arm.errors import Conflict
from arm.models import Tenant, User
from arm.permissions import allowed, require
from arm.rights import Right

from ..lifecycle import VersionState
from ..models import AgentVersion, DirectoryRules
from .asking import refuse, require_reason
from .lifecycles import carry_out
from .locking import locked

SEVERITIES = ("s0", "s1", "s2", "s3")
"""From how severe an incident on a version is deprecated by itself, the worst first (telemetry's words)."""


@transaction.atomic
def deprecate_for(*, version: AgentVersion, incident: UUID, actor: User | None, reason: str) -> AgentVersion:
    """Deprecate an approved version because of an incident, which the record links: nothing new is bound to it or
    provisioned from it. Slots that bind it keep it until their due date, and nothing of theirs drains.

    For whoever may promote or roll back there; `actor` None is the tenant's rule. Conflict where it is not approved.
    """
    if actor is not None and not allowed(actor, Right.ROLL_BACK_RELEASE, version):
        require(actor, Right.PROMOTE_RELEASE, version)
    require_reason(reason)
    version = locked(AgentVersion.objects.select_related("template", "genome"), version.pk)
    if version.state != VersionState.APPROVED:
        raise Conflict(f"{version} is {version.get_state_display()}; only an approved version is deprecated.")
    version.forced_by = incident
    version.save(update_fields=["forced_by"])
    shown = ids.encode("inc", incident)
    return carry_out(version, VersionState.DEPRECATED, actor, reason, links=[shown], incident=shown)


@transaction.atomic
def deprecate_from(*, tenant: Tenant, severity: str, actor: User, reason: str) -> DirectoryRules:
    """From how severe an incident on, saying that a version does harm, it is deprecated by itself; empty: by none."""
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    require_reason(reason)
    if severity and severity not in SEVERITIES:
        refuse("/severity", "enum", f"Must be one of {', '.join(SEVERITIES)}, or empty.")
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    rules, _ = DirectoryRules.objects.get_or_create(tenant=tenant)
    if rules.deprecates_from == severity:
        return rules
    before, rules.deprecates_from = {"deprecates_from": rules.deprecates_from}, severity
    rules.save(update_fields=["deprecates_from"])
    after = {"deprecates_from": severity}
    changes.record(actor, "registry.deprecation.ruled", rules, before=before, after=after, reason=reason)
    return rules
