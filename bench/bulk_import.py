"""Instances in bulk, as the API takes them: 10,000 rows in one request, with rights, change records and all.

The ratio is to a bare COPY of the very rows that came of it into copies of their tables with the same indexes: what
judging and recording them costs beside storing them.
"""

import json
import time
from collections.abc import Iterator

from django.db import connections

from arm import db, services
from arm.models import ChangeRecord, Tenant, User
from registry import genome
from registry.lifecycle import VersionState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    Environment,
    InstanceInterval,
    InstanceStatus,
    Provider,
)
from registry.protocol import rows
from registry.services import ensure_tenant_defaults, provision_instances

from .harness import Figure, as_served
from .version_list import genome as some_genome

FLOOR = 2_000.0
MODELS = (AgentInstance, InstanceStatus, InstanceInterval, ChangeRecord)


def run(quick: bool) -> list[Figure]:
    """Instances a second of the best of three requests: from the bytes of the body to the commit."""
    alice, acme, bodies = build(500 if quick else 10_000)
    rates, bare = [], []
    with as_served():
        for body in bodies:
            began = time.perf_counter()
            with db.tenants([acme.pk]):
                given = genome.read(body, media_type="application/json").document["rows"]
                read = rows.read_instances(given)
                made = provision_instances(tenant=acme, rows=read.rows, actor=alice, reason="bench")
            rates.append(len(made) / (time.perf_counter() - began))
            bare.append(len(made) / copied(acme, made))
    best = max(rates)
    return [Figure("bulk_import_rate", best, "instances/s", FLOOR, best / max(bare), sense="at least")]


def build(many: int) -> tuple[User, Tenant, list[bytes]]:
    """A tenant whose Alice may provision, five agents, and three bodies of `many` rows."""
    root = User.objects.create_superuser("root")
    alice = User.objects.create(username="alice")
    acme = Tenant(slug="acme", name="Acme")
    with db.tenants([acme.pk]):
        acme.save(force_insert=True)
        services.add_member(tenant=acme, user=alice, actor=root, reason="bench")
        services.bind(principal=alice, role="fleet_operator", scope=acme, actor=root, reason="bench")
        ensure_tenant_defaults(tenant=acme, actor=root)
        agents = AgentTemplate.objects.bulk_create(
            AgentTemplate(tenant=acme, slug=f"agent-{n}", name=f"Agent {n}") for n in range(5)
        )
        for agent in agents:
            held = some_genome(agent, 1)
            held.save(force_insert=True)
            AgentVersion.objects.create(
                tenant=acme, template=agent, number=1, genome=held, state=VersionState.APPROVED
            )
        places = [place.slug for place in Environment.objects.all()]
        provider = Provider.objects.get().slug
    bodies = [
        json.dumps(
            {
                "rows": [
                    {
                        "version": f"agent-{n % 5}@1",
                        "environment": places[n % len(places)],
                        "provider": provider,
                        "name": f"instance-{turn}-{n}",
                        "labels": {"team": f"t{n % 50}"},
                    }
                    for n in range(many)
                ]
            }
        ).encode()
        for turn in range(3)
    ]
    return alice, acme, bodies


def copied(tenant: Tenant, made: list[AgentInstance]) -> float:
    """Seconds that a bare COPY of the same rows takes, indexes included."""
    keys = [row.pk for row in made]
    columns = {
        AgentInstance: "id",
        InstanceStatus: "instance_id",
        InstanceInterval: "instance_id",
        ChangeRecord: "target_id",
    }
    spent = 0.0
    with db.tenants([tenant.pk], using="owner"), connections["owner"].cursor() as cursor:
        for model in MODELS:
            table = model._meta.db_table
            cursor.execute(f"CREATE TEMP TABLE bare_{table} (LIKE {table} INCLUDING INDEXES) ON COMMIT DROP")
            query = f"COPY (SELECT * FROM {table} WHERE {columns[model]} = ANY(%s)) TO STDOUT"
            with cursor.copy(query, [keys]) as out:
                held = b"".join(pieces(out))
            began = time.perf_counter()
            with cursor.copy(f"COPY bare_{table} FROM STDIN") as into:
                into.write(held)
            spent += time.perf_counter() - began
    return spent


def pieces(out: object) -> Iterator[bytes]:
    for piece in out:  # type: ignore[attr-defined]
        yield bytes(piece)
