"""Proofs out of the stored tree."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from arm import ids
from arm.models import Tenant

from ..models import LEAF_PREFIXES, Checkpoint, Leaf, Node
from ..signing import merkle, notes


def about(identifier: str) -> dict[str, Any]:
    """How the leaf about a shown identifier (`chg_…`, `evd_…`) is found. ValueError says what is wrong with it."""
    kinds = {prefix: kind for kind, prefix in LEAF_PREFIXES.items()}
    prefix = identifier.rpartition("_")[0] or "chg"
    if prefix not in kinds:
        raise ValueError(
            f"“{identifier[:60]}” is of nothing that has a leaf: {', '.join(f'{p}_…' for p in kinds)}."
        )
    return {"kind": kinds[prefix], "subject_id": ids.decode(prefix, identifier)}


def inclusion_proof(leaf: Leaf) -> notes.Proof | None:
    """That this leaf is under the newest checkpoint of its log; None while no checkpoint covers it."""
    checkpoint = Checkpoint.objects.filter(tenant=leaf.tenant_id).first()
    if checkpoint is None or checkpoint.size <= leaf.seq:
        return None
    path = _hashes(leaf.tenant_id, merkle.inclusion(leaf.seq, checkpoint.size))
    return notes.Proof(leaf.seq, path, checkpoint.note)


def inclusion_proofs(tenant: Tenant, leaves: Sequence[Leaf]) -> dict[UUID, notes.Proof]:
    """The same for many leaves under one checkpoint, in three statements; those that it does not cover are left out."""
    checkpoint = Checkpoint.objects.filter(tenant=tenant).first()
    if checkpoint is None:
        return {}
    covered = [leaf for leaf in leaves if leaf.seq < checkpoint.size]
    ranges = {leaf.subject_id: merkle.inclusion(leaf.seq, checkpoint.size) for leaf in covered}
    known = _known(tenant.pk, {place for one in ranges.values() for some in one for place in some})
    return {
        leaf.subject_id: notes.Proof(
            leaf.seq, merkle.proof(ranges[leaf.subject_id], known.__getitem__), checkpoint.note
        )
        for leaf in covered
    }


def consistency_proof(tenant: Tenant, old: int, new: int) -> list[bytes]:
    """That the tenant's log of `new` leaves begins with the one of `old`. ValueError where there is none."""
    return _hashes(tenant.pk, merkle.consistency(old, new))


def _hashes(tenant_id: UUID, ranges: Sequence[Sequence[merkle.Place]]) -> list[bytes]:
    """The hashes of a proof in two statements."""
    known = _known(tenant_id, {place for some in ranges for place in some})
    return merkle.proof(ranges, known.__getitem__)


def _known(tenant_id: UUID, places: set[merkle.Place]) -> dict[merkle.Place, bytes]:
    leaves = [seq for level, seq in places if level == 0]
    known = {
        (0, seq): bytes(hashed)
        for seq, hashed in Leaf.objects.filter(tenant=tenant_id, seq__in=leaves).values_list("seq", "hash")
    }
    # A proof has at most two hashes of a level for each bit of the size: the product of both lists is small.
    nodes = Node.objects.filter(
        tenant=tenant_id,
        level__in={level for level, _ in places if level},
        seq__in={seq for _, seq in places},
    )
    known |= {(level, seq): bytes(hashed) for level, seq, hashed in nodes.values_list("level", "seq", "hash")}
    return known
