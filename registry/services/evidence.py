"""Evidence about versions: cards are issued, packs are exported."""

from django.db import transaction

from arm import clock
from arm.errors import Conflict
from arm.models import User
from arm.permissions import require
from arm.rights import Right
from evidence.lifecycle import ArtefactKind
from evidence.models import Artefact
from evidence.services import request_artefact, retry_artefact

from ..models import AgentVersion, VersionEvidence
from ..queries import RIGHT_TO_MAKE, card_statement
from .genomes import read_genome


@transaction.atomic
def issue_card(*, version: AgentVersion, actor: User, reason: str) -> VersionEvidence:
    """Have an Agent Card of the version as it is now made: signed, rendered, logged and verified in the background.

    Conflict where the genome is incomplete or was tampered with, or while another card of it is being made.
    """
    require(actor, Right.ISSUE_EVIDENCE, version)
    version = _locked(version)
    if version.genome.missing:
        lacks = ", ".join(version.genome.missing)
        raise Conflict(f"{version} has an incomplete genome, and no card can be issued: it lacks {lacks}.")
    read = read_genome(genome=version.genome)
    if not read.intact:
        raise Conflict(f"The stored genome of {version} does not match its digest; no card can be issued.")
    statement = card_statement(version, read.document, clock.now())
    artefact = request_artefact(
        kind=ArtefactKind.AGENT_CARD, subject=version, actor=actor, reason=reason, statement=statement
    )
    return _about(version, artefact)


@transaction.atomic
def export_pack(*, version: AgentVersion, actor: User, reason: str) -> VersionEvidence:
    """Have an Audit Pack of the version made: its cards, genome and change records, with proofs and keys.

    Conflict while another one is being made.
    """
    require(actor, Right.EXPORT_AUDIT_PACK, version)
    version = _locked(version)
    artefact = request_artefact(kind=ArtefactKind.AUDIT_PACK, subject=version, actor=actor, reason=reason)
    return _about(version, artefact)


@transaction.atomic
def retry_evidence(*, held: VersionEvidence, actor: User, reason: str) -> VersionEvidence:
    """Try a step that failed once more, now. Conflict where none has failed."""
    require(actor, RIGHT_TO_MAKE[ArtefactKind(held.kind)], held)
    retry_artefact(artefact=held.artefact, actor=actor, reason=reason)
    return held


def _about(version: AgentVersion, artefact: Artefact) -> VersionEvidence:
    return VersionEvidence.objects.create(
        id=artefact.pk, tenant_id=version.tenant_id, version=version, artefact=artefact, kind=artefact.kind
    )


def _locked(version: AgentVersion) -> AgentVersion:
    rows = AgentVersion.objects.select_for_update(of=("self",))
    return rows.select_related("template__tenant", "genome").get(pk=version.pk)
