"""The sequencer: records that wait become leaves of their tenant's log, in batches, and the log is signed."""

from collections import defaultdict
from dataclasses import dataclass

from django.db import connection, transaction

from arm import clock
from arm.models import Tenant

from ..models import Checkpoint, Log, SigningKey
from ..signing import notes
from ..signing.merkle import HASH_BYTES, Tree
from .keys import active_key, unsealed_ed25519

BATCH = 5_000
ORIGIN = "arm.example/log/{}"

# One statement: what waited is gone exactly when its leaf is there. The text is RFC 8785's: members in order, no
# spaces, and nothing in it that JSON would escape.
TAKE = """
WITH taken AS (
  DELETE FROM evidence_pendingleaf WHERE id IN (
    SELECT id FROM evidence_pendingleaf WHERE tenant_id = %(tenant)s ORDER BY id LIMIT %(limit)s)
  RETURNING id, kind, subject_id, digest, at
), numbered AS (
  SELECT *, %(size)s + row_number() OVER (ORDER BY id) - 1 AS seq FROM taken
), said AS (
  SELECT *, format('{"created":"%%s","payload_sha256":"%%s","seq":%%s,"type":"%%s","v":1}',
    to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), split_part(digest, ':', 2), seq, kind) AS body
  FROM numbered
), written AS (
  INSERT INTO evidence_leaf (tenant_id, seq, kind, subject_id, body, hash)
  SELECT %(tenant)s, seq, kind, subject_id, body, sha256('\\x00'::bytea || convert_to(body, 'UTF8')) FROM said
  RETURNING seq, hash
)
SELECT coalesce(string_agg(hash, ''::bytea ORDER BY seq), ''::bytea) FROM written
"""
# The nodes of a level that become complete together are neighbours.
GROW = """
INSERT INTO evidence_node (tenant_id, level, seq, hash)
SELECT %s, %s, %s + n, substring(%s::bytea FROM n * 32 + 1 FOR 32) FROM generate_series(0, %s - 1) AS n
"""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a round of the signer did: how many leaves are new, and the checkpoint over all of them."""

    leaves: int
    checkpoint: Checkpoint | None


def seal_log(*, tenant: Tenant) -> Sealed:
    """Give every waiting record of the tenant its leaf, then sign the log if it has grown.

    For the signer; may be repeated at any time and by several at once. ImproperlyConfigured without its key.
    """
    added = 0
    while fresh := sequence(tenant=tenant):
        added += fresh
    return Sealed(added, _checkpoint(tenant))


@transaction.atomic
def sequence(*, tenant: Tenant, limit: int = BATCH) -> int:
    """Turn up to `limit` waiting records into leaves. Returns how many."""
    log = _locked(tenant)
    tree = Tree(log.size, log.parts)
    with connection.cursor() as cursor:
        cursor.execute(TAKE, {"tenant": tenant.pk, "limit": limit, "size": log.size})
        hashes = bytes(cursor.fetchone()[0])
        if not hashes:
            return 0
        levels: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for at in range(0, len(hashes), HASH_BYTES):
            for (level, seq), hashed in tree.append(hashes[at : at + HASH_BYTES]):
                levels[level].append((seq, hashed))
        for level, made in levels.items():
            nodes = b"".join(hashed for _, hashed in made)
            cursor.execute(GROW, [tenant.pk, level, made[0][0], nodes, len(made)])
    added = tree.size - log.size
    log.size, log.edge = tree.size, b"".join(tree.edge)
    log.save(update_fields=["size", "edge"])
    return added


@transaction.atomic
def _checkpoint(tenant: Tenant) -> Checkpoint | None:
    """Sign the log as it is now; None when its newest checkpoint says so already."""
    log = _locked(tenant)
    newest = Checkpoint.objects.filter(tenant=tenant).first()
    if log.size == (newest.size if newest else 0):
        return None
    key = active_key(tenant=tenant, purpose=SigningKey.Purpose.LOG)
    root = Tree(log.size, log.parts).root
    said = notes.Checkpoint(ORIGIN.format(tenant.slug), log.size, root)
    note = notes.sign(said, key=unsealed_ed25519(key))
    return Checkpoint.objects.create(
        tenant=tenant, size=log.size, root=root, note=note, key=key, at=clock.now()
    )


def _locked(tenant: Tenant) -> Log:
    Log.objects.bulk_create([Log(tenant=tenant)], ignore_conflicts=True)
    return Log.objects.select_for_update().get(tenant=tenant)
