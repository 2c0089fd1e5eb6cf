"""Prove the log against itself and against the records, from the first leaf on: what an auditor would do, as one run."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef

from arm.crypto import canonical, digest
from arm.models import ChangeRecord, Tenant

from ..models import Artefact, ArtefactFile, Checkpoint, Leaf, PendingLeaf
from ..signing import merkle, notes
from ..signing.keys import ed25519_from_jwk

CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit: where, and what."""

    where: str
    what: str


def findings(tenant: Tenant) -> Iterator[Finding]:
    """Everything wrong with the log of this tenant; nothing when all fits.

    Leaves are hashed again, in order and without a gap, and compared with the content of their records and documents; at
    the size of every checkpoint the root is compared and its signature verified; every record and every signed document
    has a leaf or waits for one.
    """
    tree = merkle.Tree()
    checkpoints = {row.size: row for row in Checkpoint.objects.filter(tenant=tenant).select_related("key")}
    leaves = Leaf.objects.filter(tenant=tenant).order_by("seq")
    while some := list(leaves.filter(seq__gte=tree.size)[:CHUNK]):
        digests = _digests(some)
        for leaf in some:
            if leaf.seq != tree.size:
                yield Finding(f"leaf {tree.size}", f"It is missing: the next one is {leaf.seq}.")
                return
            yield from _leaf(leaf, digests.get(leaf.subject_id))
            tree.append(merkle.leaf_hash(leaf.body.encode()))
            if tree.size in checkpoints:
                yield from _checkpoint(checkpoints.pop(tree.size), tree)
    for size in sorted(checkpoints):
        yield Finding(f"checkpoint {size}", f"The log has only {tree.size} leaves.")
    for kind, rows in (
        ("change", ChangeRecord.objects.filter(tenant=tenant)),
        (
            "artefact",
            Artefact.objects.for_list().filter(tenant=tenant, files__kind__in=ArtefactFile.SIGNED),
        ),
    ):
        known = Exists(Leaf.objects.filter(tenant=tenant, kind=kind, subject_id=OuterRef("pk")))
        waits = Exists(PendingLeaf.objects.filter(tenant=tenant, kind=kind, subject_id=OuterRef("pk")))
        for row in rows.filter(~known, ~waits):
            yield Finding(row.typeid, "It has no leaf and does not wait for one.")


def _digests(leaves: Sequence[Leaf]) -> dict[UUID, str]:
    """What the leaves are about, and the digest of its content as it is now."""
    about = [leaf.subject_id for leaf in leaves]
    records = ChangeRecord.objects.filter(pk__in=about)
    files = ArtefactFile.objects.filter(artefact__in=about, kind__in=ArtefactFile.SIGNED)
    return {record.pk: digest(canonical(record.body())) for record in records} | {
        file.artefact_id: digest(bytes(file.content)) for file in files
    }


def _leaf(leaf: Leaf, found: str | None) -> Iterator[Finding]:
    where = f"leaf {leaf.seq}"
    if bytes(leaf.hash) != merkle.leaf_hash(leaf.body.encode()):
        yield Finding(where, "Its hash is not that of its text.")
    said: dict[str, Any] = json.loads(leaf.body)
    if said["seq"] != leaf.seq:
        yield Finding(where, f"Its text says that it is leaf {said['seq']}.")
    if found is None:
        yield Finding(where, f"{leaf.record}, which it is about, is gone.")
    elif found != f"sha256:{said['payload_sha256']}":
        yield Finding(where, f"{leaf.record} is not what it was when it was logged.")


def _checkpoint(row: Checkpoint, tree: merkle.Tree) -> Iterator[Finding]:
    where = f"checkpoint {row.size}"
    try:
        said = notes.open_checkpoint(row.note, public=ed25519_from_jwk(row.key.jwk).public_bytes_raw())
    except notes.BadNote as problem:
        yield Finding(where, str(problem))
        return
    if (said.size, said.root) != (tree.size, tree.root):
        yield Finding(where, "Its root is not that of the leaves before it.")
