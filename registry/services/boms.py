"""A version's CycloneDX BOM as a signed document: statement, envelope and leaf, as cards have them."""

from django.db import transaction

from arm.errors import Conflict, Invalid, Problem
from arm.models import User
from arm.permissions import require
from arm.rights import Right
from evidence.lifecycle import ArtefactKind
from evidence.services import request_artefact

from ..models import AgentVersion, VersionEvidence
from ..protocol.cyclonedx import SPECS
from ..queries.boms import bom_statement
from .evidence import about, locked_version
from .exchange import intact, subject_of
from .genomes import read_version


@transaction.atomic
def sign_bom(*, version: AgentVersion, actor: User, reason: str, spec: str = "1.7") -> VersionEvidence:
    """Have the version's BOM (CycloneDX 1.6 or 1.7) signed by the tenant's key, logged and verified in the background.

    Invalid for another specification; Conflict where the genome is incomplete, Tampered where it does not match its digest,
    Conflict while another BOM of the version is being made.
    """
    require(actor, Right.ISSUE_EVIDENCE, version)
    if spec not in SPECS:
        message = f"Must be one of {', '.join(SPECS)}."
        raise Invalid(message, [Problem(pointer="/spec", code="choice", message=message)])
    version = locked_version(version)
    if version.genome.missing:
        lacks = ", ".join(version.genome.missing)
        raise Conflict(f"{version} has an incomplete genome, and no BOM of it is signed: it lacks {lacks}.")
    document = intact(read_version(version)).document
    artefact = request_artefact(
        kind=ArtefactKind.BOM,
        subject=version,
        actor=actor,
        reason=reason,
        statement=bom_statement(version, subject_of(version), document, spec),
    )
    return about(version, artefact)
