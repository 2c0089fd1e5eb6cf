"""What the registry gives to an Audit Pack of a version (settings.PACK_SECTIONS)."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from arm.crypto import canonical
from arm.models import User
from arm.permissions import visible
from arm.rights import Right
from evidence.sections import PackFile

from .. import queries
from ..models import AgentVersion, Rollback, VersionEvidence


class VersionPack:
    """In an Audit Pack of a version: the exact bytes of its genome."""

    def files(self, subject: Any, reader: User | None, pack: UUID) -> Iterable[PackFile]:
        if isinstance(subject, AgentVersion):
            yield PackFile("genome.json", bytes(subject.genome.content))

    def subjects(self, subject: Any, reader: User | None, pack: UUID) -> Iterable[UUID]:
        return ()


class RollbackPack:
    """In an Audit Pack of a version: the dossier of every rollback that left it or returned to it and that `reader` sees.
    Only where the pack is the whole tenant's to see: who has rights on the agent alone sees no slot and no rollback."""

    def files(self, subject: Any, reader: User | None, pack: UUID) -> Iterable[PackFile]:
        if isinstance(subject, AgentVersion):
            for row in self._about(subject, reader, pack):
                yield PackFile(queries.dossier_path(row), canonical(row.dossier))

    def subjects(self, subject: Any, reader: User | None, pack: UUID) -> Iterable[UUID]:
        if isinstance(subject, AgentVersion):
            about = self._about(subject, reader, pack)
            yield from about.values_list("slot", flat=True).distinct().order_by()
            yield from about.values_list("pk", flat=True)  # with their signed dossiers

    def _about(self, version: AgentVersion, reader: User | None, pack: UUID) -> QuerySet[Rollback]:
        if not VersionEvidence.objects.filter(pk=pack, template=None).exists():
            return Rollback.objects.none()
        return visible(
            queries.rollbacks_of(version).order_by("pk"), reader or AnonymousUser(), Right.READ_EVIDENCE
        )
