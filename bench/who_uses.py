"""Who uses what in a fleet of 20,000 agents, 100,000 versions and a million instances, and every list of such a fleet.

Two people ask, over HTTP: Bob holds a role on the whole tenant, Carol one on each of 500 agents; a thousand others hold
one on an agent each. The ratio is to Dora, who asks in the same moments for a page of a tenant with 50 versions: what
size and rights cost.
"""

import http.client
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.db.models import QuerySet
from django.urls import get_resolver, reverse

from arm import clock, db
from arm.models import User
from arm.permissions import scopes, visible
from arm.rights import Right
from registry.models import AgentInstance, AgentTemplate, AgentVersion

from .harness import Figure, percentile, serving
from .harness.fleet import DAY, Fleet, build
from .version_list import cookie_of, count_statements, get

OF_AGENTS = ("risk=high", "owner=person-1", "tag=tag-7", "tag=fleet", "project=project-3", "role=role-1")
FILTERS = {
    "template": (*OF_AGENTS, "ownerless=true"),
    "version": (
        *(*OF_AGENTS, "complete=no", "complete=yes"),
        *("completeness_from=90", "completeness_to=50", "rolled_back=true"),
    ),
    "instance": (
        *(*OF_AGENTS, "cost_center=CC7", "cost_center=none", "environment_kind=production"),
        *("label=tier", "label=squad%3Ds-200", "label=none"),
    ),
}
"""Filters that look beyond the list's own table: some that many rows answer, some few, some none."""
LIST_MS, USES_MS, PAST_MS, STATEMENTS, SCOPED = 150.0, 200.0, 500.0, 15, 3.0
MOST_ROUNDS = 4


def run(quick: bool) -> list[Figure]:
    """p95 of the lists, of their endpoints and of one thing's page, each for both people; the most statements that
    any list needs; and how much longer a list takes because somebody may see some of it only."""
    fleet = build(agents=200, granted=10, people=10) if quick else build(agents=20_000, granted=500)
    groups = {"fleet_lists": pages(), "fleet_endpoints": endpoints(), "who_uses": uses(fleet)}
    groups |= {"fleet_at_large": past(), "shared_words": searches()}
    lists = groups["fleet_lists"] | groups["fleet_endpoints"]
    limits = dict.fromkeys(groups, LIST_MS) | {"who_uses": USES_MS, "fleet_at_large": PAST_MS}
    figures = []
    with serving("arm.wsgi:application", workers=1) as url:
        place = urlsplit(url)
        link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
        for person, suffix in ((fleet.bob, ""), (fleet.carol, "_500_grants")):
            for name, addresses in groups.items():
                if name == "fleet_lists" and person is fleet.bob:  # Carol sees no place to ask for
                    addresses = addresses | {
                        "version?environment=prod": f"{reverse('registry:version_list')}?environment=prod"
                    }
                rounds, limit = 3 if quick else 25, limits[name]
                slowest, beside = measure(link, addresses, person, fleet.dora, rounds=rounds, limit=limit)
                figures.append(Figure(f"{name}_p95{suffix}", slowest, "ms", limits[name], slowest / beside))
            counted = count_statements(person, lists)
            most = max(counted, key=lambda label: counted[label])
            print(f"  {person.username:<6} {counted[most]} statements: {most}", file=sys.stderr)
            figures.append(
                Figure(f"fleet_lists_statements{suffix}", float(counted[most]), "statements", STATEMENTS)
            )
        link.close()
    return [*figures, scoped(fleet, rounds=3 if quick else 25)]


def pages() -> dict[str, str]:
    """Every list page of the registry, and a search."""
    found = get_resolver().namespace_dict["registry"][1].url_patterns
    names = [page.name for page in found if page.name.endswith("_list") and not page.pattern.converters]
    lists = {name: reverse(f"registry:{name}") for name in (*names, "channel_board")}
    lists["uses_list?q="] = f"{lists['uses_list']}?{urlencode({'q': 'tool-7'})}"
    return lists | {
        f"{noun}?{query}": f"{lists[f'{noun}_list']}?{query}"
        for noun, queries in FILTERS.items()
        for query in queries
    }


def endpoints() -> dict[str, str]:
    """Every endpoint of the registry that lists."""
    lists = {
        f"/{noun}": f"/api/v1/registry/{noun}/" for noun, *_ in import_module("registry.api").router.registry
    }
    return lists | {
        f"/{noun}?{query}": f"{lists[f'/{noun}s']}?{query}"
        for noun, queries in FILTERS.items()
        for query in queries
    }


def uses(fleet: Fleet) -> dict[str, str]:
    """Pages and answers about one thing: one that few use, and one that a twentieth of all uses."""
    common, popular = fleet.common, fleet.popular
    return {
        "common tool": common.get_absolute_url(),
        "popular model": popular.get_absolute_url(),
        "api": f"/api/v1/registry/uses/{common.typeid}/",
        "api, popular": f"/api/v1/registry/uses/{popular.typeid}/",
        "api, its versions": f"/api/v1/registry/uses/{popular.typeid}/versions/",
    }


def past() -> dict[str, str]:
    """The fleet a day ago: its first page, and 5,000 instances that share a word, which are counted by state."""
    at = clock.exactly(clock.now() - DAY)
    asked = {"at": at, "q": "desk00001"}
    return {
        "fleet at": f"{reverse('registry:fleet_at')}?{urlencode({'at': at})}",
        "5,000 of them": f"{reverse('registry:fleet_at')}?{urlencode(asked)}",
        "api, 5,000": f"/api/v1/registry/fleet-at/?{urlencode(asked)}",
        "by environment": f"{reverse('registry:fleet_at')}?{urlencode({'at': at, 'environment': 'dev'})}",
    }


def searches() -> dict[str, str]:
    """Words of instances: one that 5,000 share, one that all share, both, and with one that few have."""
    words = {
        "5,000": "desk00001",
        "all": "instance",
        "both": "instance desk00001",
        "all and one": "instance 4711",
    }
    url = reverse("registry:instance_list")
    return {f"word of {name}": f"{url}?{urlencode({'q': text})}" for name, text in words.items()}


def measure(
    link: http.client.HTTPConnection,
    addresses: Mapping[str, str],
    person: User,
    beside: User,
    *,
    rounds: int,
    limit: float,
) -> tuple[float, float]:
    """The p95 of the slowest address, and that of the small tenant's list in the same moments; in ms.

    Of 25 samples two decide, and a shared machine stops for a moment somewhere among five thousand: an address that is
    over the limit is asked on, up to four times as often, and all of its samples count."""
    mine, other, reference, slowest = cookie_of(person), cookie_of(beside), [], 0.0
    small = reverse("registry:uses_list")
    for label, address in addresses.items():
        get(link, address, mine)
        samples: list[float] = []
        while not samples or (percentile(samples, 0.95) > limit and len(samples) < MOST_ROUNDS * rounds):
            for _ in range(rounds):
                samples.append(get(link, address, mine))
                reference.append(get(link, small, other))
        p95 = percentile(samples, 0.95)
        slowest = max(slowest, p95)
        print(f"  {person.username:<6} {label:<20} p95 {p95:6.0f} ms of {len(samples)}", file=sys.stderr)
    return slowest, percentile(reference, 0.95)


def scoped(fleet: Fleet, rounds: int) -> Figure:
    """Carol's first page of a list against the same query of somebody who is not asked, both through the ORM: the
    worst of three lists."""
    lists: dict[str, QuerySet[Any]] = {
        "agents": AgentTemplate.objects.order_by("name", "pk"),
        "versions": AgentVersion.objects.for_list().order_by("-pk"),
        "instances": AgentInstance.objects.for_list().order_by("-pk"),
    }
    ratios = []
    with db.tenants([fleet.tenant.pk]):
        held = scopes(fleet.carol, Right.READ_DIRECTORY)
        for name, rows in lists.items():
            mine, all_rows = [], []
            for _ in range(rounds):
                mine.append(spent(lambda rows=rows: visible(rows, fleet.carol, Right.READ_DIRECTORY, held)))
                all_rows.append(spent(lambda rows=rows: rows))
            ratios.append(percentile(mine, 0.5) / percentile(all_rows, 0.5))
            print(f"  visible {name:<10} {ratios[-1]:.2f} ×", file=sys.stderr)
    return Figure("visible_500_grants", max(ratios), "× unscoped", SCOPED)


def spent(question: Callable[[], QuerySet[Any]]) -> float:
    """ms until the first fifty rows are there."""
    began = time.perf_counter()
    list(question()[:50])
    return (time.perf_counter() - began) * 1000
