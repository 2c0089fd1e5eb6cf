"""What the dossier of a rollback says: the linked records of one act, in the words of a statement. People by identifier."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from arm import clock, ids
from arm.crypto import canonical
from arm.models import ChangeRecord, User
from evidence.models import SigningKey
from evidence.signing import dsse

from ..facts import carried_over
from ..models import AgentVersion, Rollback, VersionEvidence
from .cards import person_id

DOSSIER = "https://arm.example/evidence/rollback-dossier/v1"


def signs_evidence(tenant_id: UUID) -> bool:
    """Whether the tenant has a key that signs evidence. The first document that somebody asks for makes it."""
    keys = SigningKey.objects.filter(tenant=tenant_id, purpose=SigningKey.Purpose.EVIDENCE)
    return keys.filter(retired_at=None).exists()


def rollbacks_of(version: AgentVersion) -> QuerySet[Rollback]:
    """What an Audit Pack of the version tells of: it was left, or returned to."""
    return Rollback.objects.filter(Q(from_version=version) | Q(to_version=version))


def with_dossiers(rollbacks: Iterable[Rollback], actor: User) -> list[Rollback]:
    """Each with `dossier_seen`, its document as the actor may read it: of what was carried over, the rules whose original
    and copy they may see; and `carried_hidden`, how many others there are. The document itself stays whole: it is what is
    signed. A statement for each kind of rule, however many rollbacks."""
    rows = list(rollbacks)
    seen = {
        port.kind: set(port.seen(keys, actor))
        for port in carried_over()
        if (
            keys := {
                key for row in rows for one in _carried(row) if one["kind"] == port.kind for key in _keys(one)
            }
        )
    }
    for row in rows:
        told = _carried(row)
        kept = [one for one in told if _keys(one) <= seen.get(one["kind"], set())]
        document = row.dossier | {"carried": kept} if told else row.dossier
        row.dossier_seen, row.carried_hidden = document, len(told) - len(kept)  # type: ignore[attr-defined]
    return rows


def _carried(rollback: Rollback) -> list[dict[str, str]]:
    held: list[dict[str, str]] = rollback.dossier.get("carried", [])
    return held


def _keys(carry: Mapping[str, str]) -> set[UUID]:
    """Of the rule and its copy."""
    return {ids.decode(name.partition("_")[0], name) for name in (carry["rule"], carry["copy"])}


def dossier_path(rollback: Rollback) -> str:
    """Where Audit Packs hold the document that is signed."""
    return f"rollbacks/{rollback.typeid}.json"


def dossier_statement(rollback: Rollback, at: datetime) -> bytes:
    """The in-toto statement about the dossier: canonical bytes, ready to be signed."""
    document = canonical(rollback.dossier)
    return dsse.statement(
        subjects={dossier_path(rollback): sha256(document).hexdigest()},
        predicate_type=DOSSIER,
        predicate=_predicate(rollback, at),
    )


def _predicate(rollback: Rollback, at: datetime) -> dict[str, Any]:
    said = {name: value for name, value in rollback.dossier.items() if name != "actor"}
    if rollback.actor is not None:
        said["actor"] = {"id": person_id(rollback.actor)}
    records = ChangeRecord.objects.filter(pk=rollback.change_id, tenant=rollback.tenant_id)
    named = {
        "rollback": bool(said.get("rollback")),
        "versions": bool(said.get("from") and said.get("to")),
        "incident": rollback.incident_id is not None,
        "changeRecord": records.exists(),
    }
    return {
        "schemaVersion": "1",
        "generatedAt": clock.stamp(at),
        "generator": {"name": "ARM", "version": settings.VERSION},
        "tenant": {"id": ids.encode("ten", rollback.tenant_id), "name": rollback.tenant.name},
        "rollback": said,
        "incident": ids.encode("inc", rollback.incident_id) if rollback.incident_id else None,
        "records": [
            {"id": record.typeid, "digest": record.digest, "verb": record.verb} for record in records
        ],
        "completeness": {
            "required": list(named),
            "present": [name for name, there in named.items() if there],
            "missing": [name for name, there in named.items() if not there],
        },
    }


def dossier_of(rollback: Rollback) -> VersionEvidence | None:
    """The newest signed dossier of a rollback, with how far it has come."""
    return rollback.evidence.for_list().first()
