"""Who approved a version, from the record of it."""

from arm.models import ChangeRecord
from arm.rights import Right

from ..lifecycle import VersionState
from ..models import AgentVersion

REACHED = (VersionState.APPROVED, VersionState.DEPRECATED, VersionState.RETIRED)


def approved_by(version: AgentVersion, rights: frozenset[Right]) -> ChangeRecord | None:
    """The newest record of its move to Approved, for whoever may read it; None where it never got there."""
    if version.state not in REACHED or not rights & {Right.READ_AUDIT, Right.READ_DIRECTORY}:
        return None
    moves = ChangeRecord.objects.about(version).filter(verb="registry.version.moved")
    return moves.filter(after__state=VersionState.APPROVED).first()
