"""The dossier of a rollback as a signed document: its statement, envelope, PDF and leaf, as Agent Cards have them."""

from django.db import transaction

from arm import clock
from arm.models import User
from arm.permissions import require
from arm.rights import Right
from evidence.lifecycle import ArtefactKind
from evidence.services import request_artefact

from ..models import DeploymentSlot, Rollback, VersionEvidence
from ..queries import dossier_of, dossier_statement, signs_evidence
from .asking import Duplicate, require_reason
from .locking import locked

OF_ITSELF = "Every rollback of a tenant that signs evidence has its signed dossier."


@transaction.atomic
def issue_dossier(*, rollback: Rollback, actor: User, reason: str) -> VersionEvidence:
    """Have the dossier of a rollback signed, rendered as a PDF, logged and verified in the background. It takes the right
    to issue evidence there; the first document of a tenant makes its key.

    Duplicate, with the document, where there is one that has not failed: what it says never changes.
    """
    require(actor, Right.ISSUE_EVIDENCE, rollback)
    require_reason(reason)
    locked(DeploymentSlot.objects.all(), rollback.slot_id)  # one at a time; the rollback itself never changes
    held = dossier_of(rollback)
    if held is not None and not held.artefact.problem:
        raise Duplicate(f"There is a signed dossier of this rollback already: {held.typeid}.", held)
    return _request(rollback, actor, reason)


def sign_dossier(rollback: Rollback) -> VersionEvidence | None:
    """The same by rule, with the rollback; None where the tenant signs no evidence yet, since its first key has other
    consequences (what production then asks for), which somebody must want."""
    return _request(rollback, None, OF_ITSELF) if signs_evidence(rollback.tenant_id) else None


def _request(rollback: Rollback, actor: User | None, reason: str) -> VersionEvidence:
    artefact = request_artefact(
        kind=ArtefactKind.DOSSIER,
        subject=rollback,
        actor=actor,
        reason=reason,
        statement=dossier_statement(rollback, clock.now()),
    )
    return VersionEvidence.objects.create(
        id=artefact.pk,
        tenant_id=rollback.tenant_id,
        version=rollback.from_version,
        artefact=artefact,
        kind=artefact.kind,
        rollback=rollback,
    )
