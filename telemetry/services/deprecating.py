"""An incident deprecates the version that it is about: by a person, or by the rule of the tenant."""

from uuid import UUID

from django.db import transaction

from arm.errors import Conflict
from arm.models import User
from arm.permissions import require
from arm.rights import Right
from registry import services as registry
from registry.lifecycle import VersionState
from registry.models import AgentVersion, DirectoryRules
from registry.services.locking import locked

from ..models import Incident, IncidentEntry


@transaction.atomic
def deprecate_version(*, incident: Incident, actor: User, reason: str) -> Incident:
    """Nothing new is bound to the incident's version or provisioned from it, with the right to promote or roll back there;
    what binds it keeps it until its due date. The incident stays in its state: this stops nothing that runs.

    Conflict where the incident is settled, is about no version, or its version is not approved.
    """
    require(actor, Right.MANAGE_INCIDENT, incident)
    incident = _locked(incident.pk)
    if not incident.live:
        raise Conflict(f"It is {incident.get_state_display()}; reopen it if it came back.")
    if incident.version is None:
        raise Conflict("This incident is about no single version; there is nothing to deprecate.")
    registry.deprecate_for(version=incident.version, incident=incident.pk, actor=actor, reason=reason)
    _write(incident, actor, reason)
    return incident


@transaction.atomic
def deprecate_by_rule(*, incident_id: UUID) -> bool:
    """The same by the tenant's rule, where the incident says that the version does harm and is severe enough by the word
    of who may say so (`queries.speaks_for`). Whether anything was done: a version that is not approved (any more) stays as it is."""
    incident = _locked(incident_id)
    version = incident.version
    if not incident.live or version is None or not incident.harm:
        return False
    if version.state != VersionState.APPROVED:
        return False
    if not incident.vouched or not DirectoryRules.objects.deprecates(incident.tenant_id, incident.vouched):
        return False
    said = f"By rule: {incident.get_vouched_display()} incident, {incident.title}"
    registry.deprecate_for(version=version, incident=incident.pk, actor=None, reason=said)
    _write(incident, None, said)
    return True


def _locked(pk: UUID) -> Incident:
    """With its version, which is locked first: whoever rolls it back holds that, and opens or names an incident then."""
    version = Incident.objects.values_list("version", flat=True).get(pk=pk)
    if version is not None:
        locked(AgentVersion.objects.all(), version)
    return Incident.objects.held().select_related("version__template").get(pk=pk)


def _write(incident: Incident, actor: User | None, text: str) -> None:
    assert incident.version is not None
    IncidentEntry.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        kind=IncidentEntry.Kind.MITIGATION,
        author=actor,
        text=text,
        after=f"{incident.version}: Deprecated"[:120],
        links=[incident.version.typeid],
    )
