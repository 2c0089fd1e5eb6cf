"""Evidence about versions: cards are issued, packs are exported."""

from collections.abc import Sequence

from django.conf import settings
from django.db import transaction

from arm import clock
from arm.crypto import canonical
from arm.errors import Conflict, Invalid
from arm.models import User
from arm.permissions import allowed, require
from arm.rights import Right
from evidence.lifecycle import A2A_KEYS, ArtefactKind
from evidence.models import Artefact
from evidence.services import request_artefact, retry_artefact

from ..lifecycle import VersionState
from ..models import AgentVersion, VersionEvidence
from ..protocol.a2a import Interface, agent_card
from ..queries import RIGHT_TO_MAKE, a2a_facts, card_statement, rollbacks_of
from .genomes import read_version


@transaction.atomic
def issue_card(*, version: AgentVersion, actor: User, reason: str) -> VersionEvidence:
    """Have an Agent Card of the version as it is now made: signed, rendered, logged and verified in the background.

    Conflict where the genome is incomplete or was tampered with, or while another card of it is being made.
    """
    require(actor, Right.ISSUE_EVIDENCE, version)
    version = locked_version(version)
    if version.genome.missing:
        lacks = ", ".join(version.genome.missing)
        raise Conflict(f"{version} has an incomplete genome, and no card can be issued: it lacks {lacks}.")
    read = read_version(version)
    if not read.intact:
        raise Conflict(
            f"The stored genome of {version} is not the one that was sealed; no card can be issued."
        )
    statement = card_statement(version, read.document, clock.now())
    artefact = request_artefact(
        kind=ArtefactKind.AGENT_CARD, subject=version, actor=actor, reason=reason, statement=statement
    )
    return about(version, artefact)


@transaction.atomic
def publish_a2a_card(
    *, version: AgentVersion, interfaces: Sequence[Interface], actor: User, reason: str
) -> VersionEvidence:
    """Have the version's A2A agent card signed and published: whoever has its address can read it from then on.

    Invalid with a pointer for each thing that such a card must say and this version does not; Conflict where the
    genome was tampered with, where nobody has set the address at which we publish keys, or while one is being made.
    """
    require(actor, Right.ISSUE_EVIDENCE, version)
    if not settings.PUBLIC_URL:
        raise Conflict(
            "A card says where its key is published: set ARM_PUBLIC_URL to the address of this server."
        )
    version = locked_version(version)
    if version.state == VersionState.RETIRED:
        raise Conflict(f"{version} is retired; nothing is published of it any more.")
    read = read_version(version)
    if not read.intact:
        raise Conflict(
            f"The stored genome of {version} is not the one that was sealed; no card can be published."
        )
    card, problems = agent_card(a2a_facts(version, interfaces, settings.PUBLIC_URL), read.document)
    if problems:
        raise Invalid("The version cannot be said as an A2A agent card yet.", problems)
    artefact = request_artefact(
        kind=ArtefactKind.A2A_CARD,
        subject=version,
        actor=actor,
        reason=reason,
        statement=canonical(card),
        scratch=f"{settings.PUBLIC_URL}{A2A_KEYS}".encode(),
    )
    return about(version, artefact)


@transaction.atomic
def export_pack(*, version: AgentVersion, actor: User, reason: str) -> VersionEvidence:
    """Have an Audit Pack of the version made: its cards, genome and change records, with proofs and keys. For whoever reads
    and takes evidence in the whole tenant also the version's rollbacks, with dossiers and slots: such a pack is seen and
    taken by nobody with rights on the agent alone. Conflict while another one is being made.
    """
    require(actor, Right.EXPORT_AUDIT_PACK, version)
    version = locked_version(version)
    artefact = request_artefact(kind=ArtefactKind.AUDIT_PACK, subject=version, actor=actor, reason=reason)
    tenant = version.template.tenant
    whole = all(allowed(actor, right, tenant) for right in (Right.READ_EVIDENCE, Right.EXPORT_AUDIT_PACK))
    return about(version, artefact, of_the_tenant=whole and rollbacks_of(version).exists())


@transaction.atomic
def retry_evidence(*, held: VersionEvidence, actor: User, reason: str) -> VersionEvidence:
    """Try a step that failed once more, now. Conflict where none has failed."""
    require(actor, RIGHT_TO_MAKE[ArtefactKind(held.kind)], held)
    retry_artefact(artefact=held.artefact, actor=actor, reason=reason)
    return held


def about(version: AgentVersion, artefact: Artefact, *, of_the_tenant: bool = False) -> VersionEvidence:
    """The row that says which version the document is about, and whose eyes it is for: those of the agent, or of the
    tenant where it tells of slots."""
    return VersionEvidence.objects.create(
        id=artefact.pk,
        tenant_id=version.tenant_id,
        version=version,
        template=None if of_the_tenant else version.template,
        artefact=artefact,
        kind=artefact.kind,
    )


def locked_version(version: AgentVersion) -> AgentVersion:
    """The version as it is now, for this transaction alone."""
    rows = AgentVersion.objects.select_for_update(of=("self",))
    return rows.select_related("template__tenant", "genome").get(pk=version.pk)
