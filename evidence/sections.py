"""What goes into an Audit Pack beside what evidence itself has: answered by the apps above (settings.PACK_SECTIONS)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from arm.models import User


@dataclass(frozen=True, slots=True)
class PackFile:
    """A file of a pack: its path below `data/`, and its bytes."""

    path: str
    content: bytes
    media_type: str = "application/json"


class PackSection(Protocol):
    def files(self, subject: Any, reader: User | None, pack: UUID) -> Iterable[PackFile]:
        """The files about this subject; none where it is of another kind. `reader`: who asked for the pack, and sees no more in it.
        `pack`: its artefact, which says nothing to whoever may take it that they may not see elsewhere."""
        ...

    def subjects(self, subject: Any, reader: User | None, pack: UUID) -> Iterable[UUID]:
        """Whose change records belong to it, beside the subject's own."""
        ...
