"""Whether an artefact is what it says, looked at again from its stored files."""

from collections.abc import Iterator

from arm.crypto import digest
from arm.models import Tenant

from ..lifecycle import WITH_PDF, ArtefactKind
from ..models import Artefact, ArtefactFile, Leaf, SigningKey
from ..signing import agent_cards, checking, dsse, signed_pdfs, unpacking
from ..signing.checking import Check, Keyring
from .keyrings import keyring_of
from .proofs import inclusion_proof


def checks_of(artefact: Artefact) -> list[Check]:
    """Every check of its files, of their fit to each other, and of its place in the log."""
    ring = keyring_of(SigningKey.objects.filter(tenant=artefact.tenant_id))
    files = {file.kind: bytes(file.content) for file in artefact.files.all()}
    signed = next((files[kind] for kind in ArtefactFile.SIGNED if kind in files), None)
    if signed is None:
        return [Check("signed file", False, "There is none.")]
    found = list(checking.examine(signed, ring))
    found.append(_same_statement(artefact, signed))
    if artefact.kind in WITH_PDF:
        found += _pdf(files.get(ArtefactFile.Kind.PDF, b""), signed, ring)
    elif artefact.kind == ArtefactKind.AUDIT_PACK:
        found += unpacking.examine(files.get(ArtefactFile.Kind.PACK, b""), ring)
    found += _log(artefact, signed, ring)
    return found


def made_here(tenant: Tenant, data: bytes) -> ArtefactFile | None:
    """The file of this tenant with exactly these bytes."""
    rows = ArtefactFile.objects.filter(tenant=tenant, digest=digest(data)).select_related("artefact")
    return rows.defer("content", "artefact__statement", "artefact__scratch").first()


def _same_statement(artefact: Artefact, signed: bytes) -> Check:
    asked = bytes(artefact.statement or b"")
    try:
        if artefact.kind == ArtefactKind.A2A_CARD:
            same = agent_cards.unsigned(signed) == asked
        else:
            same = dsse.read(signed).payload == asked
    except ValueError as problem:
        return Check("payload", False, str(problem))
    return Check("payload", same, "It is what was asked for." if same else "It is not what was asked for.")


def _pdf(pdf: bytes, envelope: bytes, ring: Keyring) -> Iterator[Check]:
    yield from checking.examine_pdf(pdf, ring)
    try:
        same = envelope in signed_pdfs.attachments(pdf).values()
    except signed_pdfs.BadPdf as problem:
        yield Check("embedded statement", False, str(problem))
        return
    said = "It is the signed statement itself." if same else "It is another one than the file beside it."
    yield Check("embedded statement", same, said)


def _log(artefact: Artefact, envelope: bytes, ring: Keyring) -> Iterator[Check]:
    leaf = Leaf.objects.filter(tenant=artefact.tenant_id, kind="artefact", subject_id=artefact.pk).first()
    proof = None if leaf is None else inclusion_proof(leaf)
    if leaf is None or proof is None:
        yield Check("log", False, "No checkpoint covers it yet.")
        return
    yield from checking.examine_proof(proof.text, leaf=leaf.body, payload=envelope, ring=ring)
