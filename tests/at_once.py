"""Real threads and real transactions, all at the same moment: what they write must be `committed`."""

from threading import Barrier, Thread

from django.db import connections

from arm import db
from arm.errors import DomainError


def at_once(tenant, *acts):
    """Run each act in a thread and a transaction of its own, all at the same moment; what each gave or raised."""
    gate, results = Barrier(len(acts)), [None] * len(acts)

    def run(number, act):
        try:
            gate.wait()
            with db.tenants([tenant.pk]):
                results[number] = act()
        except DomainError as refusal:
            results[number] = refusal
        finally:
            connections.close_all()

    threads = [Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results
