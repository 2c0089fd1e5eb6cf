"""What the Lineage Sheet and the Evaluation Report of a version say, in the words of a statement. People by identifier."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.conf import settings

from arm import clock, ids
from arm.models import User
from evidence.lifecycle import ArtefactKind
from evidence.signing import dsse

from ..gates.documents import evaluation_reports
from ..genome import Json
from ..models import AgentVersion, VersionApproval, VersionParent
from .cards import person_id
from .lineage import ancestors

LINEAGE_SHEET = "https://arm.example/evidence/lineage-sheet/v1"
EVALUATION_REPORT = "https://arm.example/evidence/evaluation-report/v1"
PREDICATES = {ArtefactKind.LINEAGE: LINEAGE_SHEET, ArtefactKind.EVALUATION: EVALUATION_REPORT}
SHEETS = tuple(PREDICATES)
REQUIRED = {
    ArtefactKind.LINEAGE: ("provenance", "ancestry", "people"),
    ArtefactKind.EVALUATION: ("suites", "runs"),
}
"""What each must say; without tools, prompts or certifications there is nothing to miss."""


def sheet_statement(
    kind: ArtefactKind, version: AgentVersion, document: dict[str, Json], at: datetime
) -> bytes:
    """The in-toto statement about the version's genome: canonical bytes, ready to be signed."""
    said = _lineage(version, document) if kind is ArtefactKind.LINEAGE else _evaluation(version)
    required = REQUIRED[kind]
    missing = [name for name in required if not said.get(name)]
    predicate = {
        "schemaVersion": "1",
        "generatedAt": clock.stamp(at),
        "generator": {"name": "ARM", "version": settings.VERSION},
        "tenant": {"id": ids.encode("ten", version.tenant_id), "name": version.template.tenant.name},
        "template": {"id": version.template.typeid, "name": version.template.name},
        "versionId": version.typeid,
        "version": {"number": version.number, "label": version.label, "state": version.state},
        "genomeDigest": version.genome.digest,
        **said,
        "completeness": {
            "required": list(required),
            "present": [name for name in required if name not in missing],
            "missing": missing,
        },
    }
    content = bytes(version.genome.content)
    return dsse.statement(
        subjects={"genome.json": sha256(content).hexdigest()},
        predicate_type=PREDICATES[kind],
        predicate=predicate,
    )


def _lineage(version: AgentVersion, document: Mapping[str, Json]) -> dict[str, Any]:
    provenance: Any = document.get("provenance") or {}
    prompts: Any = document.get("prompts") or ()
    tools: Any = document.get("tools") or ()
    pins = ("name", "kind", "server", "schema_digest", "description_digest")
    return {
        "provenance": provenance,
        "prompts": [
            {name: one[name] for name in ("role", "digest", "size") if name in one} for one in prompts
        ],
        "tools": [{name: one[name] for name in pins if name in one} for one in tools],
        "ancestry": _ancestry(version),
        "people": _people(version),
    }


def _ancestry(version: AgentVersion) -> dict[str, Any]:
    """The graph of everything that the version comes from, itself among it: versions with digests, and edges."""
    rows = AgentVersion.objects.filter(pk__in={version.pk, *ancestors(version.pk)}).select_related(
        "genome", "template"
    )
    found = {row.pk: row for row in rows.order_by("pk")}
    edges = VersionParent.objects.filter(version__in=found).order_by("pk")
    return {
        "versions": [
            {"versionId": row.typeid, "name": str(row), "digest": row.genome.digest} for row in found.values()
        ],
        "edges": [
            {
                "version": found[edge.version_id].typeid,
                "parent": found[edge.parent_id].typeid,
                "relation": edge.relation,
            }
            for edge in edges
        ],
    }


def _people(version: AgentVersion) -> dict[str, Any]:
    standing = VersionApproval.objects.for_list().standing(version)
    return {
        "builtBy": _person(version.created_by),
        "builtAt": clock.stamp(version.created_at),
        "submittedBy": _person(version.submitted_by),
        "approvedBy": [
            {"id": person_id(row.person), "at": clock.stamp(row.at), "approval": row.typeid}
            for row in standing
        ],
    }


def _person(person: User | None) -> dict[str, str] | None:
    return {"id": person_id(person)} if person else None


def _evaluation(version: AgentVersion) -> dict[str, Any]:
    port = evaluation_reports()
    return port.report(version) if port else {"suites": [], "runs": []}
