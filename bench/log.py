"""The log of records: leaves a second against one record with a commit of its own, and how fast a verifier is.

One record, one commit: `changes.record` in a transaction of its own, over two connections, as in bench `commit`. The
sequencer works on as many waiting records as would be a busy day's; the verifier hashes every leaf again.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from django.db import connection, connections

from arm import changes, db
from arm.models import Tenant
from evidence import services
from evidence.models import Leaf
from evidence.signing import merkle
from tests import make

from .harness import Figure

TIMES, RATE = 20, 150_000

WAIT = """
INSERT INTO evidence_pendingleaf (tenant_id, kind, subject_id, digest, at)
SELECT %s, 'change', gen_random_uuid(), 'sha256:' || encode(sha256(int4send(n)), 'hex'), now()
FROM generate_series(1, %s) AS n
"""


def run(quick: bool) -> list[Figure]:
    """Records and leaves a second, and leaves verified a second."""
    os.environ.setdefault("ARM_KEY_ENCRYPTION_KEY", "of the bench")
    records, leaves, verified = (200, 10_000, 50_000) if quick else (4_000, 200_000, 1_000_000)
    tenant = make.tenant("bench")
    alone = _one_by_one(tenant.pk, records)
    with db.tenants([tenant.pk]):
        while services.sequence(tenant=tenant):
            pass
        with connection.cursor() as cursor:
            cursor.execute(WAIT, [tenant.pk, leaves])
    began = time.perf_counter()
    done = 0
    while done < leaves:
        with db.tenants([tenant.pk]):
            done += services.sequence(tenant=tenant)
    rate = leaves / (time.perf_counter() - began)
    with db.tenants([tenant.pk]):
        body = Leaf.objects.filter(tenant=tenant).latest("seq").body.encode()
    began = time.perf_counter()
    merkle.root_of(merkle.leaf_hash(body) for _ in range(verified))
    checked = verified / (time.perf_counter() - began)
    return [
        Figure("log_record_rate", alone, "records/s"),
        Figure("log_sequencer_rate", rate, "leaves/s", TIMES * alone, rate / alone, "at least"),
        Figure("log_verify_rate", checked, "leaves/s", RATE, None, "at least"),
    ]


def _one_by_one(tenant_id: UUID, count: int) -> float:
    def write(numbers: range) -> None:
        try:
            for n in numbers:
                with db.tenants([tenant_id]):
                    changes.record(None, "bench.thing.made", tenant, reason=str(n))
        finally:
            connections.close_all()

    with db.tenants([tenant_id]):
        tenant = Tenant.objects.get(pk=tenant_id)
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, [range(count // 2), range(count // 2, count)]))
    return count / (time.perf_counter() - began)
