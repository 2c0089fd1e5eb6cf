"""Who uses what in a fleet of 20,000 agents, 100,000 versions and a million instances, and the lists of such a fleet.

Two people ask, over HTTP: Bob holds a role on the whole tenant, Carol one on each of 500 agents. The ratio is to Dora,
who asks in the same moments for the same page of a tenant with 50 versions: what size and rights cost.
"""

import http.client
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.db import connections
from django.urls import reverse

from arm import clock, crypto, db, ids, services
from arm.models import Tenant, User
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentTemplate, Environment, Provider, Thing
from registry.services import ensure_tenant_defaults

from .harness import Figure, load, percentile, serving
from .version_list import cookie_of, count_statements, get

LIST_MS, USES_MS, STATEMENTS = 150.0, 200.0, 15
TOOLS, MODELS = 500, 20
VERSIONS_EACH, INSTANCES_EACH = 5, 10


@dataclass(frozen=True)
class Fleet:
    bob: User
    carol: User
    dora: User
    popular: Thing
    common: Thing


def run(quick: bool) -> list[Figure]:
    """p95 of the lists and of one thing's page, each for both people, and the most statements that any needs."""
    fleet = build(agents=200 if quick else 20_000, granted=10 if quick else 500)
    lists = {
        "agents": reverse("registry:template_list"),
        "versions": reverse("registry:version_list"),
        "instances": reverse("registry:instance_list"),
        "uses": reverse("registry:uses_list"),
        "uses q": f"{reverse('registry:uses_list')}?{urlencode({'q': 'tool-7'})}",
    }
    things = {
        "common tool": fleet.common.get_absolute_url(),
        "popular model": fleet.popular.get_absolute_url(),
        "api": f"/api/v1/registry/uses/{fleet.common.typeid}/",
    }
    figures = []
    with serving("arm.wsgi:application", workers=1) as url:
        place = urlsplit(url)
        link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
        beside = cookie_of(fleet.dora)
        for person, suffix in ((fleet.bob, ""), (fleet.carol, "_500_grants")):
            cookie = cookie_of(person)
            for name, addresses, limit in (("fleet_lists", lists, LIST_MS), ("who_uses", things, USES_MS)):
                slowest, reference = 0.0, []
                for label, address in addresses.items():
                    samples = []
                    for number in range(3 if quick else 15):
                        spent = get(link, address, cookie)
                        small = get(link, lists["uses"], beside)
                        if number:
                            samples.append(spent)
                            reference.append(small)
                    p95 = percentile(samples, 0.95)
                    slowest = max(slowest, p95)
                    print(f"  {person.username:<6} {label:<14} p95 {p95:6.0f} ms", file=sys.stderr)
                ratio = slowest / percentile(reference, 0.95)
                figures.append(Figure(f"{name}_p95{suffix}", slowest, "ms", limit, ratio))
            most = float(max(count_statements(person, lists | things).values()))
            figures.append(Figure(f"fleet_lists_statements{suffix}", most, "statements", STATEMENTS))
        link.close()
    return figures


def build(*, agents: int, granted: int) -> Fleet:
    """One large tenant with two people who may read it, and a small one beside it."""
    alice = User.objects.create_superuser("alice")
    bob, carol, dora = (User.objects.create(username=name) for name in ("bob", "carol", "dora"))
    large, small = Tenant(slug="large", name="Large"), Tenant(slug="small", name="Small")
    for tenant, people in ((large, (bob, carol)), (small, (dora,))):
        with db.tenants([tenant.pk]):
            tenant.save(force_insert=True)
            ensure_tenant_defaults(tenant=tenant, actor=alice)
            for person in people:
                services.add_member(tenant=tenant, user=person, actor=alice, reason="bench")
            services.bind(principal=people[0], role="author", scope=tenant, actor=alice, reason="bench")
    with db.tenants([small.pk]):
        fill(small, 10)
    with db.tenants([large.pk]):
        made = fill(large, agents)
        for pk in made[:: agents // granted]:
            scope = AgentTemplate.objects.get(pk=pk)
            services.bind(principal=carol, role="author", scope=scope, actor=alice, reason="bench")
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    with db.tenants([large.pk]):
        popular = Thing.objects.get(kind="model", name="openai/model-0")
        common = Thing.objects.get(kind="tool", name="tool-7")
    return Fleet(bob, carol, dora, popular, common)


def fill(tenant: Tenant, agents: int) -> list[UUID]:
    """Agents, genomes, versions, what they use, instances and their status, by COPY; returns the agents."""
    now, places = clock.now(), list(Environment.objects.filter(tenant=tenant).order_by("position"))
    local = Provider.objects.get(tenant=tenant, slug="local")
    made = [ids.uuid7() for _ in range(agents)]
    load(
        "registry_agenttemplate",
        ("id", "tenant_id", "slug", "name", "description", "intended_use", "out_of_scope", "risk", "tags",
         "cost_center", "created_at"),
        ((pk, tenant.pk, f"agent-{n}", f"Agent {n:05}", "", "", "", "medium", "[]", "", now)
         for n, pk in enumerate(made)),
    )  # fmt: skip
    builds = [(ids.uuid7(), ids.uuid7(), made[n % agents], n) for n in range(agents * VERSIONS_EACH)]
    load(
        "registry_genome",
        ("id", "tenant_id", "template_id", "digest", "content", "missing", "completeness", "build", "created_at"),
        ((genome, tenant.pk, agent, crypto.digest(content), content, "[]", 20, "{}", now)
         for _, genome, agent, n in builds for content in [json.dumps({"number": n}).encode()]),
    )  # fmt: skip
    load(
        "registry_agentversion",
        ("id", "tenant_id", "template_id", "number", "label", "description", "genome_id", "state", "state_since",
         "rolled_back", "created_at"),
        ((pk, tenant.pk, agent, 1 + n // agents, "", "", genome,
          VersionState.APPROVED if n % 4 else VersionState.RETIRED, now, False, now)
         for pk, genome, agent, n in builds),
    )  # fmt: skip
    load(
        "registry_dependency",
        ("id", "tenant_id", "version_id", "kind", "name", "detail"),
        ((ids.uuid7(), tenant.pk, pk, kind, name, "{}") for pk, _, _, n in builds for kind, name in used(n)),
    )
    running = [(ids.uuid7(), pk, agent) for pk, _, agent, _ in builds for _ in range(INSTANCES_EACH)]
    load(
        "registry_agentinstance",
        ("id", "tenant_id", "name", "version_id", "template_id", "environment_id", "provider_id", "state",
         "state_since", "generation", "cost_center", "labels", "created_at", "depth"),
        ((pk, tenant.pk, f"instance-{n}", version, agent, places[n % len(places)].pk, local.pk,
          InstanceState.RETIRED if n % 5 == 0 else InstanceState.ACTIVE, now, 1, "", "{}", now, 0)
         for n, (pk, version, agent) in enumerate(running)),
    )  # fmt: skip
    load(
        "registry_instancestatus",
        ("instance_id", "tenant_id", "state"),
        ((pk, tenant.pk, "active") for pk, *_ in running),
    )
    return made


def used(number: int) -> Iterable[tuple[str, str]]:
    """One of twenty models, and three of five hundred tools: each tool by one version in 170, each model by one in 20."""
    yield "model", f"openai/model-{number % MODELS}"
    for name in {(number * step + step) % TOOLS for step in (1, 7, 31)}:
        yield "tool", f"tool-{name}"
