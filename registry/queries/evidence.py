"""A signed document as its page shows it: its steps with their times, its files, its place in the log."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from arm import clock
from arm.models import User
from arm.permissions import Actor, visible
from arm.rights import Right
from evidence.lifecycle import COURSE, LATE, ArtefactKind, ArtefactState
from evidence.models import ArtefactFile, Leaf
from evidence.signing import dsse

from ..lifecycle import Phase
from ..models import AgentVersion, VersionEvidence

RIGHT_TO_MAKE = {
    ArtefactKind.AGENT_CARD: Right.ISSUE_EVIDENCE,
    ArtefactKind.AUDIT_PACK: Right.EXPORT_AUDIT_PACK,
    ArtefactKind.A2A_CARD: Right.ISSUE_EVIDENCE,
    ArtefactKind.DOSSIER: Right.ISSUE_EVIDENCE,
    ArtefactKind.LINEAGE: Right.ISSUE_EVIDENCE,
    ArtefactKind.EVALUATION: Right.ISSUE_EVIDENCE,
    ArtefactKind.BOM: Right.ISSUE_EVIDENCE,
}
MADE_OF_A_VERSION = (
    ArtefactKind.AGENT_CARD,
    ArtefactKind.LINEAGE,
    ArtefactKind.EVALUATION,
    ArtefactKind.AUDIT_PACK,
    ArtefactKind.A2A_CARD,
    ArtefactKind.BOM,
)
"""What is asked for on a version's page; a dossier is asked for on the page of its rollback."""


def right_to_take(file: ArtefactFile) -> Right:
    """What downloading a file takes beside seeing its document: cards are made to be read by whoever reads evidence, packs
    are taken away, and an Evaluation Report is read by who may read the runs that it tells of."""
    if file.artefact.kind == ArtefactKind.EVALUATION:
        return Right.READ_DIRECTORY
    return Right.EXPORT_AUDIT_PACK if file.kind == ArtefactFile.Kind.PACK else Right.READ_EVIDENCE


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file that may be taken, or that somebody with more rights may take."""

    file: ArtefactFile
    may_take: bool


@dataclass(frozen=True, slots=True)
class EvidencePage:
    track: tuple[dict[str, Any], ...]
    steps: tuple[tuple[str, datetime | None], ...]
    files: tuple[FileRow, ...]
    leaf: Leaf | None
    statement: dsse.Statement | None
    card: dict[str, Any] | None
    overdue: bool
    may_retry: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """What the document says that it lacks."""
        said = self.statement.predicate.get("completeness", {}) if self.statement else {}
        return tuple(str(one) for one in said.get("missing", ()))


def evidence_page(held: VersionEvidence, rights: frozenset[Right]) -> EvidencePage:
    artefact = held.artefact
    files = artefact.files.defer("content").order_by("made_at")
    course = COURSE[ArtefactKind(artefact.kind)]
    a2a = artefact.kind == ArtefactKind.A2A_CARD
    reached = course.index(ArtefactState(artefact.state))
    return EvidencePage(
        track=tuple(
            {"label": state.label, "phase": _phase(number, reached)} for number, state in enumerate(course)
        ),
        steps=tuple((state.label, _when(artefact.times.get(state.value))) for state in course),
        files=tuple(FileRow(file, right_to_take(file) in rights) for file in files),
        leaf=Leaf.objects.filter(kind="artefact", subject_id=artefact.pk).first(),
        statement=_statement(artefact.statement) if _may_read(artefact.kind, rights) and not a2a else None,
        card=json.loads(bytes(artefact.statement)) if a2a and artefact.statement else None,
        overdue=not artefact.arrived and clock.now() - artefact.requested_at > LATE,
        may_retry=bool(artefact.problem) and RIGHT_TO_MAKE[ArtefactKind(held.kind)] in rights,
    )


def _may_read(kind: str, rights: frozenset[Right]) -> bool:
    return kind != ArtefactKind.EVALUATION or Right.READ_DIRECTORY in rights


def _phase(number: int, reached: int) -> str:
    if number <= reached:
        phase = Phase.DONE if number < reached else Phase.NOW
    else:
        phase = Phase.NEXT if number == reached + 1 else Phase.LATER
    return phase.value


def _when(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _statement(payload: Any) -> dsse.Statement | None:
    if payload is None:
        return None
    try:
        return dsse.read_statement(bytes(payload))
    except dsse.BadEnvelope:
        return None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of the versions that run in production and that the person may see: how many have a verified Agent Card, and the
    first of those that have none."""

    running: int
    covered: int
    lacking: tuple[AgentVersion, ...]


def coverage(actor: User, shown: int) -> Coverage:
    rows = visible(AgentVersion.objects.for_list().in_production(), actor, Right.READ_EVIDENCE)
    lacking = rows.with_card("missing")  # type: ignore[attr-defined]
    running, without = rows.order_by().count(), lacking.order_by().count()
    return Coverage(running, running - without, tuple(lacking[:shown]) if without else ())


def newest_of_each(version: AgentVersion, actor: Actor) -> dict[ArtefactKind, VersionEvidence | None]:
    """The newest document of each kind about a version that the actor sees: what there is, and what there is not."""
    rows = visible(VersionEvidence.objects.for_list().filter(version=version), actor, Right.READ_EVIDENCE)
    rows = rows.order_by("kind", "-pk").distinct("kind")
    found = {row.kind: row for row in rows}
    return {kind: found.get(kind.value) for kind in MADE_OF_A_VERSION}
