"""Decisions over HTTP with a durable record before each answer: two gateway processes, keep-alive clients."""

from django.db import connection

from arm import db

from .harness import Figure, percentile, serving
from .harness.agents import MIX, agents, request
from .harness.load import Load, ask

THREADS = 32
CONNECTIONS = 64


def run(quick: bool) -> list[Figure]:
    """Full speed first, then half of it at fixed times; every answer must be in the database afterwards.

    The ratio is to a bare WSGI function behind the same server and the same clients.
    """
    tenant, _, fleet = agents(10 if quick else 40)
    requests = [request(token, *MIX[number % len(MIX)]) for number, (_, token) in enumerate(fleet)]
    seconds = 2.0 if quick else 10.0
    with serving("bench.harness.bare:application", workers=2, threads=4) as url:
        bare = ask(url, requests, connections=CONNECTIONS, seconds=seconds / 2)
    with serving("arm.wsgi_gateway:application", workers=2, threads=THREADS) as url:
        warm = ask(url, requests, connections=CONNECTIONS, seconds=2.0)
        full = ask(url, requests, connections=CONNECTIONS, seconds=seconds)
        half = ask(url, requests, connections=CONNECTIONS, seconds=seconds, rate=full.rate / 2)
    answered = sum(len(load.latencies) for load in (warm, full, half))
    with db.tenants([tenant.pk]), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM policy_decision WHERE tenant_id = %s", [tenant.pk])
        recorded = cursor.fetchone()[0]
    for load in (warm, full, half):
        _only_200(load)
    if recorded < answered:
        raise RuntimeError(f"{answered} were answered, {recorded} recorded")
    return [
        Figure("decide_rate", full.rate, "decisions/s", 5000, full.rate / bare.rate, "at least"),
        Figure("decide_p50_full", percentile(full.latencies, 0.5) * 1000, "ms"),
        Figure("decide_p99_full", percentile(full.latencies, 0.99) * 1000, "ms"),
        Figure("decide_p50_half", percentile(half.latencies, 0.5) * 1000, "ms"),
        Figure("decide_p99_half", percentile(half.latencies, 0.99) * 1000, "ms", 15),
    ]


def _only_200(load: Load) -> None:
    if set(load.statuses) != {"200"}:
        raise RuntimeError(f"not every request was decided: {load.statuses}")
