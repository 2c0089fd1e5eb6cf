"""Audit Packs: everything about one subject, gathered so that it can be verified without us."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db.models import Q
from django.template.loader import render_to_string

from arm import clock, ids
from arm.crypto import canonical
from arm.models import ChangeRecord
from arm.ports import implementations

from ..models import Artefact, ArtefactFile, Leaf, SigningKey
from ..queries import inclusion_proof, published
from ..sections import PackFile, PackSection
from ..signing import dsse, packing
from ..signing.keys import from_jwk, pem

REFERENCE = "https://in-toto.io/attestation/reference/v0.1"
VERIFIER = Path(__file__).parent.parent / "signing" / "offline.py"
"""What the pack brings along: verifies all of it with nothing but Python and openssl."""


class NotInTheLog(ValueError):
    """No checkpoint covers it yet: a matter of seconds."""


def assemble(artefact: Artefact) -> tuple[bytes, bytes]:
    """The statement about the manifest, and the bag as a ZIP. NotInTheLog while a record waits for its checkpoint."""
    subject = apps.get_model(artefact.subject_kind)._default_manager.get(pk=artefact.subject_id)
    files, at = list(_files(artefact, subject)), artefact.requested_at
    info = {"External-Identifier": artefact.typeid, "External-Description": str(artefact)}
    bag, manifest = packing.bag([(file.path, file.content) for file in files], info=info, at=at)
    predicate = {
        "attester": {"id": f"https://arm.example/tenants/{ids.encode('ten', artefact.tenant_id)}"},
        "references": [
            {
                "name": f"data/{file.path}",
                "digest": {"sha256": sha256(file.content).hexdigest()},
                "mediaType": file.media_type,
            }
            for file in sorted(files, key=lambda file: file.path)
        ],
        "schemaVersion": "1",
        "generatedAt": clock.stamp(at),
        "generator": {"name": "ARM", "version": settings.VERSION},
        "tenant": ids.encode("ten", artefact.tenant_id),
        "about": {"kind": artefact.subject_kind, "id": subject.typeid, "label": artefact.subject_label},
        "completeness": _completeness(files),
    }
    subjects = {packing.MANIFEST: sha256(manifest).hexdigest()}
    return dsse.statement(subjects=subjects, predicate_type=REFERENCE, predicate=predicate), bag


def pack(artefact: Artefact, unsigned: bytes, envelope: ArtefactFile) -> bytes:
    """The bag with its signed statement."""
    return packing.signed(
        unsigned, folder=artefact.file_stem, name=envelope.name, envelope=bytes(envelope.content),
        at=artefact.requested_at,
    )  # fmt: skip


def _completeness(files: list[PackFile]) -> dict[str, list[str]]:
    required = ["agent card", "genome", "change records"]
    there = {
        "agent card": any(file.path.startswith("artefacts/agent-card.") for file in files),
        "genome": any(file.path == "genome.json" for file in files),
        "change records": any(file.path.startswith("changes/") for file in files),
    }
    return {
        "required": required,
        "present": [name for name in required if there[name]],
        "missing": [name for name in required if not there[name]],
    }


def _files(artefact: Artefact, subject: Any) -> Iterator[PackFile]:
    sections: tuple[PackSection, ...] = implementations("PACK_SECTIONS")
    about = {subject.pk, *(one for section in sections for one in section.subjects(subject))}
    for section in sections:
        yield from section.files(subject)
    shown = Artefact.objects.filter(subject_id__in=about, state="verified").exclude(pk=artefact.pk)
    shown = shown.exclude(kind=artefact.kind).order_by("pk")
    for one in shown:
        for file in one.files.all():
            folder = "pdf" if file.kind == ArtefactFile.Kind.PDF else "artefacts"
            yield PackFile(f"{folder}/{file.name}", bytes(file.content), file.media_type)
        yield from _proof("artefact", one.pk, one.typeid)
    yield from _records(artefact, about | {one.pk for one in shown})
    keys = SigningKey.objects.filter(tenant=artefact.tenant_id)
    yield PackFile("keys/arm-keys.json", json.dumps(published(keys), indent=1).encode())
    for key in keys:
        yield PackFile(
            f"keys/{key.purpose}-{key.kid}.pem", pem(from_jwk(key.jwk)).encode(), "application/x-pem-file"
        )
        if key.certificate:
            yield PackFile(
                f"keys/{key.purpose}-{key.kid}.crt", key.certificate.encode(), "application/x-pem-file"
            )
    guide = render_to_string(
        "evidence/pack/VERIFY.md",
        {
            "artefact": artefact,
            "artefacts": shown,
            "subject": subject,
            "at": clock.stamp(artefact.requested_at),
        },
    )
    yield PackFile("VERIFY.md", guide.encode(), "text/markdown")
    yield PackFile("verify.py", VERIFIER.read_bytes(), "text/x-python")


def _records(artefact: Artefact, about: set[UUID]) -> Iterator[PackFile]:
    """Every change of them up to the request, each with its proof."""
    known = ChangeRecord.objects.filter(
        Q(target_id__in=about), tenant=artefact.tenant_id, recorded_at__lt=artefact.requested_at
    )
    for record in known.order_by("recorded_at", "pk"):
        yield PackFile(f"changes/{record.typeid}.json", canonical(record.body()))
        yield from _proof("change", record.pk, record.typeid)


def _proof(kind: str, subject_id: UUID, name: str) -> Iterator[PackFile]:
    leaf = Leaf.objects.filter(kind=kind, subject_id=subject_id).first()
    proof = None if leaf is None else inclusion_proof(leaf)
    if leaf is None or proof is None:
        raise NotInTheLog(f"No checkpoint covers {name} yet.")
    yield PackFile(f"proofs/{name}.leaf.json", leaf.body.encode())
    yield PackFile(f"proofs/{name}.tlog-proof", proof.text.encode(), "text/plain")
