"""What an incident says of its version, whose word counts where that would move the version everywhere, and what the
tenant's rule makes of it."""

from arm.models import User
from arm.permissions import allowed
from arm.rights import Right
from registry.lifecycle import VersionState
from registry.models import AgentVersion, DirectoryRules

from ..lifecycle import Severity
from ..models import Incident

SPEAK = (Right.MANAGE_INCIDENT, Right.ROLL_BACK_RELEASE, Right.PROMOTE_RELEASE)
"""Any of these on the version: who handles incidents of one environment does not speak for all the others."""


def speaks_for(actor: User | None, version: AgentVersion | None) -> bool:
    """Whether the tenant's rule may deprecate the version by what this person says; None is a rule of ARM."""
    return actor is None or version is None or any(allowed(actor, right, version) for right in SPEAK)


def harm_may_be_said(incident: Incident, actor: User) -> bool:
    """Whether a form asks this person."""
    return incident.version is not None and speaks_for(actor, incident.version)


def harm_told(incident: Incident) -> str:
    """Whether somebody says it, and why the rule does or does not act; "" where there is no version."""
    version = incident.version
    if version is None:
        return ""
    if not incident.harm:
        return "Nobody says so, and no rule deprecates it for this incident."
    rules = DirectoryRules.objects.filter(tenant=incident.tenant_id)
    least = rules.values_list("deprecates_from", flat=True).first()
    if version.state != VersionState.APPROVED:
        why = " because of this incident" if version.forced_by == incident.pk else ""
        return f"Yes. {version} is {version.get_state_display()}{why}."
    if not least:
        return "Yes, and there is no rule of this organisation that deprecates it for that."
    rule = f"Yes. The rule deprecates from {Severity(least).label} on"
    if not incident.live:
        return f"{rule}, for incidents that stand."
    if not incident.vouched:
        return f"{rule}; nobody who speaks for the version has said how severe this is."
    if DirectoryRules.objects.deprecates(incident.tenant_id, incident.vouched):
        return f"{rule}, and is about to."
    if incident.vouched != incident.severity:
        said = incident.get_vouched_display()
        return f"{rule}; this counts as {said}, by the word of who speaks for the version."
    return f"{rule}; this is {incident.get_severity_display()}."
