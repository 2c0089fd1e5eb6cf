"""What an Agent Card says of a version: facts as they are now, in the words of a statement. People by identifier only,
so that a name can be forgotten without breaking a signature."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count

from arm import clock, ids
from arm.models import User
from arm.ports import implementations
from evidence.lifecycle import ArtefactState
from evidence.models import ArtefactFile
from evidence.signing import dsse

from .. import fitness, genome
from ..genome import Json
from ..lifecycle import VersionState
from ..models import AgentInstance, AgentVersion, DeploymentSlot
from ..protocol.a2a import About, Interface
from ..protocol.common import Measured
from ..sections import CardSection
from .related import owners

AGENT_CARD = "https://arm.example/evidence/agent-card/v1"
REQUIRED = ("genome", "owners", "intendedUse", "outOfScope")
"""What the directory itself must know; every section is required beside them."""


def card_statement(version: AgentVersion, document: dict[str, Json], at: datetime) -> bytes:
    """The in-toto statement about the version's genome: canonical bytes, ready to be signed."""
    content = bytes(version.genome.content)
    return dsse.statement(
        subjects={"genome.json": sha256(content).hexdigest()},
        predicate_type=AGENT_CARD,
        predicate=card_predicate(version, document, at),
    )


def card_predicate(version: AgentVersion, document: dict[str, Json], at: datetime) -> dict[str, Any]:
    """The card, member by member. `completeness` says what it must say, says, and does not."""
    template = version.template
    said: dict[str, Any] = {
        "schemaVersion": "1",
        "generatedAt": clock.stamp(at),
        "generator": {"name": "ARM", "version": settings.VERSION},
        "tenant": {"id": ids.encode("ten", version.tenant_id), "name": template.tenant.name},
        "validFrom": clock.stamp(at),
        "versionId": version.typeid,
        "version": {
            "number": version.number,
            "label": version.label,
            "description": version.description,
            "state": version.state,
            "stateSince": clock.stamp(version.state_since),
            "createdAt": clock.stamp(version.created_at),
        },
        "template": {"id": template.typeid, "name": template.name, "description": template.description},
        "riskClass": template.risk,
        "intendedUse": template.intended_use,
        "outOfScope": template.out_of_scope,
        "owners": [{"id": person_id(owner)} for owner in owners(template)],
        "genome": _genome(version, document),
        "environments": _environments(version),
        "derivedFrom": [
            {"versionId": edge.parent.typeid, "digest": edge.parent.genome.digest, "relation": edge.relation}
            for edge in version.parents.select_related("parent__genome").order_by("pk")
        ],
    }
    sections: tuple[CardSection, ...] = implementations("CARD_SECTIONS")
    required, present = list(REQUIRED), [name for name in REQUIRED if said[name]]
    for section in sections:
        required.append(section.name)
        if (found := section.section(version)) is not None:
            said[section.name] = found
            present.append(section.name)
    missing = [name for name in required if name not in present]
    said["completeness"] = {"required": required, "present": present, "missing": missing}
    return said


def measured_of(version: AgentVersion) -> tuple[Measured, ...]:
    """What suites have measured of this genome (settings.CAPABILITIES), by capability."""
    return tuple(
        Measured(
            capability,
            f"{score.percent.normalize():f}",
            score.measured_by,
            (f"{score.between[0].normalize():f}", f"{score.between[1].normalize():f}")
            if score.between
            else None,
        )
        for capability, score in sorted(fitness.capabilities().of(version).items())
    )


def a2a_facts(version: AgentVersion, interfaces: Sequence[Interface], public_url: str) -> About:
    """What an A2A agent card says of the version beside its genome. Every value is text: others read numbers as doubles."""
    template = version.template
    return About(
        name=template.name,
        description=version.description or template.description,
        version=version.label or str(version.number),
        organisation=template.tenant.name,
        organisation_url=public_url,
        interfaces=interfaces,
        measured=[f"{one.capability} {one.percent} % by {one.by}" for one in measured_of(version)],
        governance={
            "versionId": version.typeid,
            "templateId": template.typeid,
            "genomeDigest": version.genome.digest,
            "riskClass": template.risk,
            "state": version.state,
        },
    )


def person_id(person: User) -> str:
    """Who somebody is in a signed document: resolved inside of ARM, as long as the account is known there."""
    return ids.encode("usr", person.pk)


def _genome(version: AgentVersion, document: dict[str, Json]) -> dict[str, Any]:
    return {
        "digest": version.genome.digest,
        "completenessPercent": version.genome.completeness,
        "models": [
            {name: model[name] for name in ("role", "provider", "name", "revision") if name in model}
            for model in document.get("models", ())
        ],
        "tools": [
            {
                "name": tool["name"],
                "kind": tool["kind"],
                "risk": tool["risk"],
                "sideEffect": bool(tool.get("side_effect", False)),
                "scopes": list(tool.get("scopes", ())),
                "server": tool.get("server", ""),
            }
            for tool in document.get("tools", ())
        ],
        "dataSources": [
            {"id": source["id"], "class": source["class"], "access": source["access"]}
            for source in document.get("data_sources", ())
        ],
        "autonomyTierMax": document.get("behavior", {}).get("autonomy_tier_max"),
        "riskTolerance": document.get("behavior", {}).get("risk_tolerance"),
        "escalationProfile": document.get("behavior", {}).get("escalation_profile"),
        "memory": {name: held for name, held in document.get("memory", {}).items() if name != "store_ref"},
        "limits": document.get("limits", {}),
        "spawn": document.get("spawn", {"allowed": False}),
        "provenance": {
            name: document["provenance"][name]
            for name in ("source_repo", "commit", "builder")
            if name in document.get("provenance", {})
        },
        "flags": [
            {"code": flag.code, "message": flag.message, "pointer": flag.pointer}
            for flag in genome.risk_flags(document)
        ],
    }


def _environments(version: AgentVersion) -> list[dict[str, Any]]:
    """Where it runs or would be started: live instances and slots by environment."""
    found: dict[str, dict[str, Any]] = {}
    live = AgentInstance.objects.filter(version=version).live()
    slots = DeploymentSlot.objects.filter(current_version=version)
    for kind, rows in (("instances", live), ("slots", slots)):
        places = rows.order_by().values_list("environment__slug", "environment__production")
        for slug, production, n in places.annotate(n=Count("pk")):
            entry = {"slug": slug, "production": production, "instances": 0, "slots": 0}
            found.setdefault(slug, entry)[kind] = n
    return [found[slug] for slug in sorted(found)]


def published_card(version_id: UUID) -> ArtefactFile | None:
    """The newest A2A agent card of a version that has passed its verification."""
    files = ArtefactFile.objects.filter(
        kind=ArtefactFile.Kind.CARD, artefact__subject_id=version_id, artefact__state=ArtefactState.VERIFIED
    )
    return files.order_by("-artefact_id").first()


def current_card(template_id: UUID) -> ArtefactFile | None:
    """The card that speaks for a template: the newest verified one of its approved versions, else of its deprecated ones.
    A version that is still tested speaks for nobody but itself."""
    for state in (VersionState.APPROVED, VersionState.DEPRECATED):
        versions = AgentVersion.objects.filter(template_id=template_id, state=state)
        files = ArtefactFile.objects.filter(
            kind=ArtefactFile.Kind.CARD, artefact__subject_id__in=versions.values("pk"), artefact__state=ArtefactState.VERIFIED
        )  # fmt: skip
        if found := files.order_by("-artefact_id").first():
            return found
    return None
