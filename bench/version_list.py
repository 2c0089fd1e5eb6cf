"""The page that lists versions, with 100,000 of them in one tenant: by filter, by search and deep in, over HTTP.

Two people ask: Bob holds a role on the whole tenant, Carol holds one on each of 500 of its 2,000 agents. The ratio is
to Dora, who asks in the same moments for the list of a tenant with 50 versions: what size and rights cost.
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
LIMIT_MS, LIMIT_STATEMENTS = 150.0, 15
STATES = [VersionState.APPROVED] * 6 + [VersionState.RETIRED] * 2 + [VersionState.DRAFT, VersionState.TESTING]
DEPARTMENTS = ["finance", "support", "legal", "engineering", "sales", "people", "data", "research"]
EACH, TOOLS, BATCH = 50, 50, 2000


@dataclass(frozen=True)
class Fleet:
    bob: User
    carol: User
    dora: User
    agent: AgentTemplate
    digest: str
    middle: int


def run(quick: bool) -> list[Figure]:
    """p95 over an equal mix of the page's addresses, and the most statements that any of them needs."""
    fleet = build(agents=40 if quick else 2000, granted=10 if quick else 500)
    addresses = {name: f"{reverse('registry:version_list')}?{query}" for name, query in asked(fleet)}
    figures = []
    with serving("arm.wsgi:application", workers=1) as url:
        for person, suffix in ((fleet.bob, ""), (fleet.carol, "_500_grants")):
            mine, small = measure(url, addresses, person, fleet.dora, rounds=3 if quick else 20)
            statements = count_statements(person, addresses)
            for name, samples in mine.items():
                line = f"  {person.username:<6} {name:<8} p95 {percentile(samples, 0.95):6.0f} ms, {statements[name]} SQL"
                print(line, file=sys.stderr)
            p95 = percentile([sample for samples in mine.values() for sample in samples], 0.95)
            most = float(max(statements.values()))
            figures += [
                Figure(f"version_list_p95{suffix}", p95, "ms", LIMIT_MS, p95 / percentile(small, 0.95)),
                Figure(f"version_list_statements{suffix}", most, "statements", LIMIT_STATEMENTS),
            ]
    return figures


def build(*, agents: int, granted: int) -> Fleet:
    """One tenant with `agents` × 50 versions and two people who may read them; a small one beside it."""
    alice = User.objects.create_superuser("alice")
    bob, carol, dora = (User.objects.create(username=name) for name in ("bob", "carol", "dora"))
    large, small = Tenant(slug="large", name="Large"), Tenant(slug="small", name="Small")
    for tenant, people in ((large, (bob, carol)), (small, (dora,))):
        with db.tenants([tenant.pk]):
            tenant.save(force_insert=True)
            for person in people:
                services.add_member(tenant=tenant, user=person, actor=alice, reason="bench")
            services.bind(principal=people[0], role="author", scope=tenant, actor=alice, reason="bench")
    with db.tenants([small.pk]):
        fill(small, 1, dora)
    with db.tenants([large.pk]):
        made, digest = fill(large, agents, bob)
        for agent in made[:: agents // granted]:
            services.bind(principal=carol, role="author", scope=agent, actor=alice, reason="bench")
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # what autovacuum will have done by the time a fleet is this large
    return Fleet(bob, carol, dora, made[0], digest, middle=granted * EACH // 100)


def fill(tenant: Tenant, agents: int, author: User) -> tuple[list[AgentTemplate], str]:
    """Agents, genomes, versions and what they use; returns the agents and the digest of one genome."""
    made = AgentTemplate.objects.bulk_create(
        AgentTemplate(tenant=tenant, slug=f"agent-{n}", name=f"Agent {n} for {DEPARTMENTS[n % 8]}")
        for n in range(agents)
    )
    genomes = [genome(agent, number) for number in range(EACH) for agent in made]
    versions = [
        AgentVersion(
            tenant=tenant,
            template_id=row.template_id,
            number=1 + n // agents,
            label=f"{1 + n // agents}.{n % 10}.0",
            genome=row,
            state=STATES[n % len(STATES)],
            created_by=author,
        )
        for n, row in enumerate(genomes)
    ]
    used = [
        Dependency(tenant=tenant, version=row, kind=Dependency.Kind.TOOL, name=f"tool-{n % TOOLS}")
        for n, row in enumerate(versions)
    ]
    store(Genome, genomes)
    store(AgentVersion, versions)
    store(Dependency, used)
    return made, genomes[0].digest


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
    yield "agent", urlencode({"template": fleet.agent.typeid})
    yield "search", urlencode({"q": "agent 17"})
    yield "nothing", urlencode({"q": "no such words"})
    yield "digest", urlencode({"digest": fleet.digest})
    yield "uses", urlencode({"uses": "tool-7"})


def measure(
    url: str, addresses: dict[str, str], person: User, other: User, *, rounds: int
) -> tuple[dict[str, list[float]], list[float]]:
    """Milliseconds of the person by address, and of the other for the first address in between, so that both see the
    same noise. One request after the other on a kept connection; the first round warms up."""
    place = urlsplit(url)
    link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    mine, theirs = cookie_of(person), cookie_of(other)
    taken: dict[str, list[float]] = {name: [] for name in addresses}
    small: list[float] = []
    for number in range(rounds + 1):
        for name, address in addresses.items():
            spent, reference = get(link, address, mine), get(link, addresses["first"], theirs)
            if number:
                taken[name].append(spent)
                small.append(reference)
    link.close()
    return taken, small


def get(link: http.client.HTTPConnection, address: str, cookie: str) -> float:
    """Milliseconds until the whole page is here; RuntimeError when it is not the page that was asked for."""
    began = time.perf_counter()
    link.request("GET", address, headers={"Cookie": cookie})
    answer = link.getresponse()
    body = answer.read()
    spent = (time.perf_counter() - began) * 1000
    if answer.status != 200:
        raise RuntimeError(f"{address} answered {answer.status}: {body[:200]!r}")
    return spent


def signed_in(person: User) -> Client:
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(person)
    return client


def cookie_of(person: User) -> str:
    return f"{settings.SESSION_COOKIE_NAME}={signed_in(person).cookies[settings.SESSION_COOKIE_NAME].value}"


def count_statements(person: User, addresses: dict[str, str]) -> dict[str, int]:
    """SQL statements of each request, in process; the session's, the tenant wall's, BEGIN and COMMIT are in it."""
    client, counted = signed_in(person), {}
    for name, address in addresses.items():
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200
        counted[name] = len(captured)
    return counted
