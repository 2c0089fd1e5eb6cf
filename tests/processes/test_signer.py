"""The signer as a process: what changes is in the signed log within seconds, and its death loses and doubles nothing."""

from pathlib import Path

from arm import pg

from .product import Product, product, wait_for

CHANGE = (
    "from arm import changes, db; from arm.models import Tenant; "
    "tenant_id = db.all_tenants()[0]; wall = db.tenants([tenant_id]); wall.__enter__(); "
    "tenant = Tenant.objects.get(pk=tenant_id); "
    "[changes.record(None, 'test.thing.made', tenant, reason=str(n)) for n in range({count})]; "
    "wall.__exit__(None, None, None)"
)


SIGNER = "qcluster --name signer"


def leaves(running: Product) -> tuple[int, int]:
    """How many leaves the command counts, and how many findings."""
    said = running.manage("verify_log").split()
    return int(said[1]), int(said[3])


def sealed(running: Product, at_least: int) -> bool:
    count, wrong = leaves(running)
    assert wrong == 0
    return count >= at_least


def test_records_are_sealed_by_the_signer_alone_and_a_killed_one_goes_on_where_it_was() -> None:
    with product() as running:
        running.start()
        key = pg.secret(running.data, "key_encryption_key").encode()
        holders = {
            pid for pid in running.every_pid() if pid != running.database_pid() and key in environment(pid)
        }
        signer = running.pid(SIGNER)
        assert signer in holders
        for words in (
            "arm.wsgi:application",
            "arm.wsgi_gateway",
            "qcluster --name arm",
            "manage.py scheduler",
        ):
            assert running.pid(words) not in holders

        running.manage("shell", "-v", "0", "-c", CHANGE.format(count=50))
        wait_for(lambda: sealed(running, 50), 60)

        # Killed again and again while much waits: each record still has one leaf, in one unbroken log.
        before, _ = leaves(running)
        running.manage("shell", "-v", "0", "-c", CHANGE.format(count=3000))
        for _ in range(3):
            running.kill(SIGNER)
            wait_for(lambda: running.runs(SIGNER))
        wait_for(lambda: sealed(running, before + 3000), 120)


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()
