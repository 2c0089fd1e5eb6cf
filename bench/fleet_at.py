"""The fleet at an instant, with 5,000 instances that each have a history: page, API and the comparison with now.

The ratio is to the list of the same instances as they are now, asked for in the same moments: what the clocks cost.
"""

import http.client
import sys
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from django.db import connections
from django.urls import reverse

from arm import clock, db, services
from arm.models import Tenant, User
from registry.lifecycle import InstanceState, VersionState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    Environment,
    Genome,
    InstanceInterval,
    InstanceStatus,
    Provider,
)
from registry.services import ensure_tenant_defaults

from .harness import Figure, percentile, serving
from .version_list import cookie_of, genome, get

LIMIT_MS = 500.0
COURSE = (InstanceState.PROVISIONING, InstanceState.ACTIVE, InstanceState.PAUSED, InstanceState.ACTIVE)
HOUR = timedelta(hours=1)


def run(quick: bool) -> list[Figure]:
    """p95 over rounds: of the slowest of the addresses that show one moment, and of the comparison of two."""
    bob = build(200 if quick else 5000)
    at = clock.exactly(clock.now() - 2.5 * HOUR)
    asked = {
        "page": f"{reverse('registry:fleet_at')}?{urlencode({'at': at})}",
        "state": f"{reverse('registry:fleet_at')}?{urlencode({'at': at, 'state': 'active'})}",
        "changed": f"{reverse('registry:fleet_changed')}?{urlencode({'from': at, 'to': clock.exactly(clock.now())})}",
        "api": f"/api/v1/registry/fleet-at/?{urlencode({'at': at, 'page_size': 200})}",
    }
    now = reverse("registry:instance_list")
    taken: dict[str, list[float]] = {name: [] for name in asked}
    reference: list[float] = []
    with serving("arm.wsgi:application", workers=1) as url:
        place = urlsplit(url)
        link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        cookie = cookie_of(bob)
        for number in range((3 if quick else 25) + 1):
            for name, address in asked.items():
                spent, beside = get(link, address, cookie), get(link, now, cookie)
                if number:
                    taken[name].append(spent)
                    reference.append(beside)
        link.close()
    for name, samples in taken.items():
        print(f"  {name:<8} p95 {percentile(samples, 0.95):6.0f} ms", file=sys.stderr)
    p95, beside = (
        {name: percentile(samples, 0.95) for name, samples in taken.items()},
        percentile(reference, 0.95),
    )
    changed, slowest = p95.pop("changed"), max(p95.values())
    return [
        Figure("fleet_at_p95", slowest, "ms", LIMIT_MS, slowest / beside),
        Figure("fleet_changed_p95", changed, "ms", 2 * LIMIT_MS, changed / beside),
    ]


def build(instances: int) -> User:
    """One tenant whose instances each went through four states, an hour apart, and one person who may read them."""
    alice, bob = User.objects.create_superuser("alice"), User.objects.create(username="bob")
    tenant = Tenant(slug="large", name="Large")
    with db.tenants([tenant.pk]):
        tenant.save(force_insert=True)
        ensure_tenant_defaults(tenant=tenant, actor=alice)
        services.add_member(tenant=tenant, user=bob, actor=alice, reason="bench")
        services.bind(principal=bob, role="author", scope=tenant, actor=alice, reason="bench")
        places, local = list(Environment.objects.all()), Provider.objects.get(slug="local")
        agents = AgentTemplate.objects.bulk_create(
            AgentTemplate(tenant=tenant, slug=f"agent-{n}", name=f"Agent {n}") for n in range(50)
        )
        genomes = Genome.objects.bulk_create(genome(agent, 1) for agent in agents)
        versions = AgentVersion.objects.bulk_create(
            AgentVersion(tenant=tenant, template=agent, number=1, genome=row, state=VersionState.APPROVED)
            for agent, row in zip(agents, genomes, strict=True)
        )
        began = clock.now() - 4 * HOUR
        rows = AgentInstance.objects.bulk_create(
            AgentInstance(
                tenant=tenant, name=f"instance-{n}", version=versions[n % 50], template=agents[n % 50],
                environment=places[n % len(places)], provider=local, state=COURSE[-1], state_since=began + 3 * HOUR,
            )
            for n in range(instances)
        )  # fmt: skip
        InstanceStatus.objects.bulk_create(InstanceStatus(instance=row, tenant=tenant) for row in rows)
        InstanceInterval.objects.bulk_create(
            (
                InstanceInterval(
                    tenant=tenant, instance=row, state=state, version_id=row.version_id, since=began + n * HOUR,
                    until=began + (n + 1) * HOUR if n < len(COURSE) - 1 else None, known_from=began + n * HOUR,
                )
                for row in rows
                for n, state in enumerate(COURSE)
            ),
            batch_size=2000,
        )  # fmt: skip
        InstanceStatus.objects.update(state="active", reported_at=clock.now() - HOUR)
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return bob
