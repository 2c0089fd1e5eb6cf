"""What the machine's disk grants: durable commits per second of one session, the yardstick of every write path."""

import time

from django.db import connections, transaction

from .harness import Figure, percentile


def run(quick: bool) -> list[Figure]:
    """One-row transactions, synchronous_commit on, one after the other."""
    owner = connections["owner"]
    with owner.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_commit (number bigint)")
    taken = []
    for number in range(200 if quick else 3000):
        began = time.perf_counter()
        with transaction.atomic(using="owner"), owner.cursor() as cursor:
            cursor.execute("INSERT INTO bench_commit VALUES (%s)", [number])
        taken.append(time.perf_counter() - began)
    return [
        Figure("commit_rate", len(taken) / sum(taken), "commits/s"),
        Figure("commit_p99", percentile(taken, 0.99) * 1000, "ms"),
    ]
