"""Audit Packs: everything about one subject, gathered so that it can be verified without us."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.template.loader import render_to_string

from arm import clock, ids
from arm.crypto import canonical
from arm.models import ChangeRecord, User
from arm.ports import implementations

from ..lifecycle import WITH_PDF, ArtefactState
from ..models import Artefact, ArtefactFile, Leaf, SigningKey
from ..queries import inclusion_proofs, published
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
    info = {"External-Identifier": artefact.typeid, "External-Description": one_line(str(artefact))}
    bag, tags = packing.bag([(file.path, file.content) for file in files], info=info, at=at)
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
    subjects = {name: sha256(content).hexdigest() for name, content in tags.items()}
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
    asked_by = artefact.requested_by_id
    reader = User.objects.filter(pk=asked_by).first() if asked_by else None
    about = {
        subject.pk,
        *(one for section in sections for one in section.subjects(subject, reader, artefact.pk)),
    }
    for section in sections:
        yield from section.files(subject, reader, artefact.pk)
    cards = Artefact.objects.filter(
        subject_id__in=about, kind__in=WITH_PDF, state=ArtefactState.VERIFIED
    ).order_by("pk")
    for card in cards:
        for file in card.files.all():
            folder = "pdf" if file.kind == ArtefactFile.Kind.PDF else "artefacts"
            yield PackFile(f"{folder}/{file.name}", bytes(file.content), file.media_type)
    # Every change of them up to the request.
    records = list(
        ChangeRecord.objects.filter(
            target_id__in=about | {card.pk for card in cards},
            tenant=artefact.tenant_id,
            recorded_at__lt=artefact.requested_at,
        ).order_by("recorded_at", "pk")
    )
    for record in records:
        yield PackFile(f"changes/{record.typeid}.json", canonical(record.body()))
    yield from _proofs(artefact, {row.pk: row.typeid for row in (*cards, *records)})
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
            "cards": cards,
            "about": one_line(artefact.subject_label),
            "subject": subject,
            "at": clock.stamp(artefact.requested_at),
        },
    )
    yield PackFile("VERIFY.md", guide.encode(), "text/markdown")
    yield PackFile("verify.py", VERIFIER.read_bytes(), "text/x-python")


def one_line(text: str) -> str:
    """Text of people as it may stand in a guide whose commands are typed: one line, and nothing that ends a paragraph or
    begins a command."""
    seen = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(seen.replace("`", "'").split())


def _proofs(artefact: Artefact, names: dict[UUID, str]) -> Iterator[PackFile]:
    leaves = list(Leaf.objects.filter(tenant=artefact.tenant_id, subject_id__in=names).order_by("seq"))
    proofs = inclusion_proofs(artefact.tenant, leaves)
    if waiting := sorted(name for key, name in names.items() if key not in proofs):
        raise NotInTheLog(f"No checkpoint covers {waiting[0]} yet.")
    for leaf in leaves:
        name = names[leaf.subject_id]
        yield PackFile(f"proofs/{name}.leaf.json", leaf.body.encode())
        yield PackFile(f"proofs/{name}.tlog-proof", proofs[leaf.subject_id].text.encode(), "text/plain")
