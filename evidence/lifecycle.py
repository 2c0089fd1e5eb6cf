"""How an artefact comes to be: which steps, in which order, and who takes each. Pure."""

from datetime import timedelta
from enum import StrEnum

from django.db.models import TextChoices


class ArtefactKind(TextChoices):
    AGENT_CARD = "agent_card", "Agent Card"
    AUDIT_PACK = "audit_pack", "Audit Pack"
    A2A_CARD = "a2a_card", "A2A agent card"
    DOSSIER = "dossier", "Rollback dossier"
    BOM = "bom", "Signed BOM"
    LINEAGE = "lineage", "Lineage Sheet"
    EVALUATION = "evaluation", "Evaluation Report"


class ArtefactState(TextChoices):
    REQUESTED = "requested", "Requested"
    ASSEMBLED = "assembled", "Assembled"
    SIGNED = "signed", "Signed"
    RENDERED = "rendered", "Rendered"
    PDF_SIGNED = "pdf_signed", "PDF signed"
    PACKED = "packed", "Packed"
    LOGGED = "logged", "In the log"
    VERIFIED = "verified", "Verified"


class Place(StrEnum):
    """Who takes a step: the signer alone can unseal keys, and does nothing else."""

    SIGNER = "signer"
    WORKER = "worker"


_S = ArtefactState
COURSE = {
    ArtefactKind.AGENT_CARD: (_S.REQUESTED, _S.SIGNED, _S.RENDERED, _S.PDF_SIGNED, _S.LOGGED, _S.VERIFIED),
    ArtefactKind.AUDIT_PACK: (_S.REQUESTED, _S.ASSEMBLED, _S.SIGNED, _S.PACKED, _S.LOGGED, _S.VERIFIED),
    ArtefactKind.A2A_CARD: (_S.REQUESTED, _S.SIGNED, _S.LOGGED, _S.VERIFIED),
    ArtefactKind.DOSSIER: (_S.REQUESTED, _S.SIGNED, _S.RENDERED, _S.PDF_SIGNED, _S.LOGGED, _S.VERIFIED),
    ArtefactKind.BOM: (_S.REQUESTED, _S.SIGNED, _S.LOGGED, _S.VERIFIED),
    ArtefactKind.LINEAGE: (_S.REQUESTED, _S.SIGNED, _S.RENDERED, _S.PDF_SIGNED, _S.LOGGED, _S.VERIFIED),
    ArtefactKind.EVALUATION: (_S.REQUESTED, _S.SIGNED, _S.RENDERED, _S.PDF_SIGNED, _S.LOGGED, _S.VERIFIED),
}
WITH_PDF = (ArtefactKind.AGENT_CARD, ArtefactKind.DOSSIER, ArtefactKind.LINEAGE, ArtefactKind.EVALUATION)
"""Kinds that people read as a page, which is signed as well."""
TAKEN_BY = {
    _S.ASSEMBLED: Place.WORKER,
    _S.SIGNED: Place.SIGNER,
    _S.RENDERED: Place.WORKER,
    _S.PDF_SIGNED: Place.SIGNER,
    _S.PACKED: Place.WORKER,
    _S.LOGGED: Place.SIGNER,
    _S.VERIFIED: Place.WORKER,
}
"""The step that leads to a state, and whose it is."""

A2A_KEYS = "/.well-known/arm-a2a-jwks.json"
"""Where readers of A2A agent cards find our keys."""

LATE = timedelta(minutes=15)
"""An artefact that takes longer is overdue: somebody should look."""
STUCK = timedelta(seconds=60)
"""A step that nobody has taken for so long is asked for again."""
SEALED_WITHIN = timedelta(seconds=5)
GIVE_UP = timedelta(hours=24)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=15), timedelta(minutes=30)


def following(kind: str, state: str) -> ArtefactState | None:
    """What comes after this state; None from where an artefact has arrived."""
    course = COURSE[ArtefactKind(kind)]
    at = course.index(ArtefactState(state))
    return course[at + 1] if at + 1 < len(course) else None


def pause(attempts: int) -> timedelta:
    """How long to wait after so many failed attempts of one step: 15 s, 30 s, … at most half an hour."""
    return min(_FIRST_PAUSE * (1 << max(0, min(attempts, 20) - 1)), _LONGEST_PAUSE)
