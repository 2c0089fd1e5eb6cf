"""The Lineage Sheet and the Evaluation Report of a version, and in one click whatever document approval waits for."""

from django.db import transaction

from arm import clock
from arm.errors import Conflict
from arm.models import User
from arm.permissions import require
from arm.rights import Right
from evidence.lifecycle import ArtefactKind
from evidence.services import request_artefact

from ..gates.documents import BEFORE_APPROVED, lacking_documents
from ..models import AgentVersion, VersionEvidence
from ..queries import sheet_statement
from .asking import require_reason
from .evidence import issue_card
from .genomes import read_genome


@transaction.atomic
def issue_sheet(*, version: AgentVersion, kind: ArtefactKind, actor: User, reason: str) -> VersionEvidence:
    """Have a Lineage Sheet or an Evaluation Report of the version as it is now made: signed, rendered, logged and verified
    in the background. It takes the right to issue evidence, and for the report the right to read what it tells.

    Conflict where the genome was tampered with, or while another one of the kind is being made.
    """
    require(actor, Right.ISSUE_EVIDENCE, version)
    if kind is ArtefactKind.EVALUATION:
        require(actor, Right.READ_DIRECTORY, version)
    require_reason(reason)
    rows = AgentVersion.objects.select_for_update(of=("self",))
    version = rows.select_related("template__tenant", "genome", "created_by", "submitted_by").get(
        pk=version.pk
    )
    read = read_genome(genome=version.genome)
    if not read.intact:
        raise Conflict(
            f"The stored genome of {version} does not match its digest; no {kind.label} can be issued."
        )
    artefact = request_artefact(
        kind=kind,
        subject=version,
        actor=actor,
        reason=reason,
        statement=sheet_statement(kind, version, read.document, clock.now()),
    )
    return VersionEvidence.objects.create(
        id=artefact.pk,
        tenant_id=version.tenant_id,
        version=version,
        template=version.template,
        artefact=artefact,
        kind=artefact.kind,
    )


@transaction.atomic
def issue_missing(*, version: AgentVersion, actor: User, reason: str) -> list[VersionEvidence]:
    """Have every document made that stands before approval and is not there: card, sheet, report. All of them or none;
    Conflict where none is missing."""
    require(actor, Right.ISSUE_EVIDENCE, version)
    lacking = lacking_documents(version)
    if not lacking:
        labels = ", ".join(str(kind.label) for kind in BEFORE_APPROVED)
        raise Conflict(f"Nothing is missing: {labels} of {version} are made, or being made.")
    made = []
    for kind in lacking:
        if kind is ArtefactKind.AGENT_CARD:
            made.append(issue_card(version=version, actor=actor, reason=reason))
        else:
            made.append(issue_sheet(version=version, kind=kind, actor=actor, reason=reason))
    return made
