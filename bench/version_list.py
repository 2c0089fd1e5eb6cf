"""The page that lists versions, with 100,000 of them in one tenant: by filter, by search and deep in, over HTTP.

Two people ask: Bob holds a role on the whole tenant, Carol holds one on each of 500 of its 2,000 agents.
"""

import http.client
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from arm import crypto, db, services
from arm.ids import uuid7
from arm.models import Tenant, User
from registry.lifecycle import VersionState
from registry.models import AgentTemplate, AgentVersion, Dependency, Genome

from .harness import Figure, percentile, serving

Row = TypeVar("Row", Genome, AgentVersion, Dependency)
LIMIT_MS, LIMIT_QUERIES = 150.0, 15
STATES = [VersionState.APPROVED] * 6 + [VersionState.RETIRED] * 2 + [VersionState.DRAFT, VersionState.TESTING]
TOOLS = 50
BATCH = 2000


@dataclass(frozen=True)
class Fleet:
    tenant: Tenant
    bob: User
    carol: User
    template: AgentTemplate
    digest: str
    middle: int


def run(quick: bool) -> list[Figure]:
    """p95 over an equal mix of the page's addresses, and the most statements that any of them needs."""
    fleet = build(templates=40 if quick else 2000, each=50, granted=10 if quick else 500)
    addresses = {name: f"{reverse('registry:version_list')}?{query}" for name, query in asked(fleet)}
    figures = []
    with serving("arm.wsgi:application", workers=1) as url:
        for person, suffix in ((fleet.bob, ""), (fleet.carol, "_500_grants")):
            client = Client(headers={"host": "127.0.0.1"})
            client.force_login(person)
            cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
            taken = measure(url, addresses, cookie, rounds=3 if quick else 20)
            statements = {name: count_statements(client, address) for name, address in addresses.items()}
            for name, samples in taken.items():
                print(
                    f"  {person.username:<6} {name:<10} p95 {percentile(samples, 0.95):7.1f} ms"
                    f"  {statements[name]} statements",
                    file=sys.stderr,
                )
            whole = [sample for samples in taken.values() for sample in samples]
            most = float(max(statements.values()))
            figures += [
                Figure(f"version_list_p95{suffix}", percentile(whole, 0.95), "ms", LIMIT_MS),
                Figure(f"version_list_statements{suffix}", most, "statements", LIMIT_QUERIES),
            ]
    return figures


def build(*, templates: int, each: int, granted: int) -> Fleet:
    """One tenant with `templates` × `each` versions, and two people who may read them."""
    alice = User.objects.create_superuser("alice")
    bob, carol = User.objects.create(username="bob"), User.objects.create(username="carol")
    tenant = Tenant(slug="acme", name="Acme")
    with db.tenants([tenant.pk]):
        tenant.save(force_insert=True)
        for person in (bob, carol):
            services.add_member(tenant=tenant, user=person, actor=alice, reason="bench")
        agents = AgentTemplate.objects.bulk_create(
            AgentTemplate(tenant=tenant, slug=f"agent-{n}", name=f"Agent {n} for {DEPARTMENTS[n % 8]}")
            for n in range(templates)
        )
        services.bind(principal=bob, role="author", scope=tenant, actor=alice, reason="bench")
        for agent in agents[:: templates // granted]:
            services.bind(principal=carol, role="author", scope=agent, actor=alice, reason="bench")
        genomes = [genome(agent, number) for number in range(each) for agent in agents]
        store(Genome, genomes)
        versions = [
            AgentVersion(
                tenant=tenant,
                template_id=row.template_id,
                number=1 + n // templates,
                label=f"{1 + n // templates}.{n % 10}.0",
                genome=row,
                state=STATES[n % len(STATES)],
                created_by=bob,
            )
            for n, row in enumerate(genomes)
        ]
        store(AgentVersion, versions)
        store(
            Dependency,
            [
                Dependency(tenant=tenant, version=row, kind=Dependency.Kind.TOOL, name=f"tool-{n % TOOLS}")
                for n, row in enumerate(versions)
            ],
        )
    with connections[
        "owner"
    ].cursor() as cursor:  # what autovacuum will have done by the time a fleet is this large
        cursor.execute("VACUUM ANALYZE")
    return Fleet(tenant, bob, carol, agents[0], genomes[0].digest, granted * each // 100)


DEPARTMENTS = ["finance", "support", "legal", "engineering", "sales", "people", "data", "research"]


def genome(agent: AgentTemplate, number: int) -> Genome:
    """The smallest stored bytes that differ for every version; the list does not read them."""
    content = crypto.canonical({"schema": "arm.genome/v1", "template": str(agent.pk), "number": number})
    return Genome(
        id=uuid7(), tenant_id=agent.tenant_id, template=agent, content=content, digest=crypto.digest(content)
    )


def store(model: type[Row], rows: list[Row]) -> None:
    for start in range(0, len(rows), BATCH):
        model._default_manager.bulk_create(rows[start : start + BATCH])


def asked(fleet: Fleet) -> Iterator[tuple[str, str]]:
    """Name and query of the addresses that people open."""
    yield "first", ""
    yield "middle", urlencode({"page": fleet.middle})
    yield "last", urlencode({"page": "last"})
    yield "state", urlencode({"state": VersionState.APPROVED})
    yield "states", urlencode({"state": [VersionState.DRAFT, VersionState.TESTING]}, doseq=True)
    yield "agent", urlencode({"template": fleet.template.typeid})
    yield "search", urlencode({"q": "agent 17"})
    yield "nothing", urlencode({"q": "no such words"})
    yield "digest", urlencode({"digest": fleet.digest})
    yield "uses", urlencode({"uses": "tool-7"})


def measure(url: str, addresses: dict[str, str], cookie: str, *, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each request, one after the other on a kept connection; the first round warms up."""
    place = urlsplit(url)
    taken: dict[str, list[float]] = {name: [] for name in addresses}
    link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    for number in range(rounds + 1):
        for name, address in addresses.items():
            began = time.perf_counter()
            link.request("GET", address, headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"})
            answer = link.getresponse()
            body = answer.read()
            spent = (time.perf_counter() - began) * 1000
            if answer.status != 200 or b"Sign in" in body[:2000]:
                raise RuntimeError(f"{address} answered {answer.status}: {body[:200]!r}")
            if number:
                taken[name].append(spent)
    link.close()
    return taken


def count_statements(client: Client, address: str) -> int:
    """SQL statements of one request, in process; the session's and the tenant wall's are in it."""
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)
