"""The nightly sweep over stored genomes: how many a second, against hashing the same bytes in memory and nothing else.

The ratio is to `hashlib` alone over the same bytes in the same run: what finding, fetching and comparing the rows costs.
"""

import hashlib
import sys
import time

from django.db import connections

from arm import clock, crypto, db
from arm.ids import uuid7
from arm.models import Tenant
from registry import services
from registry.models import AgentTemplate, Genome, IntegritySweep

from .harness import Figure, load

LIMIT = 20_000.0
SIZE = 2000
"""Bytes of a genome: a few models, a dozen tools."""


def run(quick: bool) -> list[Figure]:
    """Genomes a second, whole: every step in its own transaction, the row of the round written each time."""
    count = 4_000 if quick else 100_000
    tenant = Tenant(slug="large", name="Large")
    with db.tenants([tenant.pk]):
        tenant.save(force_insert=True)
        contents = fill(tenant, count)
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE registry_genome")
    swept = min(sweep(tenant, count) for _ in range(1 if quick else 3))
    alone = min(timed(contents) for _ in range(3))
    streamed = stream(tenant, count)
    print(f"  the sweep {count / swept:,.0f}/s, hashlib alone {count / alone:,.0f}/s, "
          f"fetched and hashed here {count / streamed:,.0f}/s", file=sys.stderr)  # fmt: skip
    return [Figure("digest_sweep_rate", count / swept, "genomes/s", LIMIT, alone / swept, "at least")]


def fill(tenant: Tenant, count: int) -> list[bytes]:
    agent = AgentTemplate.objects.create(tenant=tenant, slug="agent", name="Agent")
    contents = [
        crypto.canonical({"schema": "arm.genome/v1", "number": n, "x_fill": "fill " * (SIZE // 5)})
        for n in range(count)
    ]
    load(
        "registry_genome",
        (
            "id",
            "tenant_id",
            "template_id",
            "digest",
            "content",
            "missing",
            "completeness",
            "build",
            "created_at",
        ),
        (
            (uuid7(), tenant.pk, agent.pk, crypto.digest(content), content, "[]", 0, "{}", clock.now())
            for content in contents
        ),
    )
    return contents


def sweep(tenant: Tenant, count: int) -> float:
    with db.tenants([tenant.pk]):
        held = IntegritySweep.objects.create(tenant=tenant)
    began, more = time.perf_counter(), True
    while more:
        with db.tenants([tenant.pk]):
            more = services.sweep_on(sweep_id=held.pk)
    spent = time.perf_counter() - began
    with db.tenants([tenant.pk]):
        held.refresh_from_db()
    if (held.genomes, held.wrong) != (count, 0):
        raise RuntimeError(
            f"The round covered {held.genomes} of {count} genomes, {held.wrong} of them wrong."
        )
    return spent


def timed(contents: list[bytes]) -> float:
    began = time.perf_counter()
    for content in contents:
        hashlib.sha256(content).hexdigest()
    return time.perf_counter() - began


def stream(tenant: Tenant, count: int) -> float:
    """The other way to do it, for comparison: the bytes fetched and hashed here."""
    began, seen = time.perf_counter(), 0
    with db.tenants([tenant.pk]):
        rows = Genome.objects.filter(tenant=tenant).values_list("digest", "content")
        for digest, content in rows.iterator(chunk_size=1000):
            seen += crypto.digest(bytes(content)) == digest
    if seen != count:
        raise RuntimeError(f"{seen} of {count} match.")
    return time.perf_counter() - began
