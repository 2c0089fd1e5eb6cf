"""The signer as a process: what changes is in the signed log within seconds, and its death loses and doubles nothing."""

from pathlib import Path

import psycopg

from arm import pg

from .product import Product, product, wait_for

CHANGE = (
    "from arm import changes, db; from arm.models import Tenant; "
    "tenant_id = db.all_tenants()[0]; wall = db.tenants([tenant_id]); wall.__enter__(); "
    "tenant = Tenant.objects.get(pk=tenant_id); "
    "[changes.record(None, 'test.thing.made', tenant, reason=str(n)) for n in range({count})]; "
    "wall.__exit__(None, None, None)"
)


SIGNER, WORKER = "qcluster --name signer", "qcluster --name arm"


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


ISSUE = (
    "from arm import db; from arm.models import Tenant, User; from registry import services; "
    "from registry.models import AgentVersion; "
    "tenant_id = db.all_tenants()[0]; wall = db.tenants([tenant_id]); wall.__enter__(); "
    "actor = User.objects.filter(is_superuser=True).first(); "
    "made = services.register_template(tenant=Tenant.objects.get(pk=tenant_id), slug='agent-{number}', name='Agent', "
    "actor=actor, reason='test'); "
    "version = services.create_version(template=made, genome={genome}, actor=actor, reason='test'); "
    "services.issue_card(version=version, actor=actor, reason='test'); "
    "wall.__exit__(None, None, None)"
)
GENOME = {
    "schema": "arm.genome/v1",
    "models": [{"role": "primary", "provider": "openai", "name": "gpt-4o", "revision": "2024-08-06"}],
    "prompts": [{"role": "system", "media_type": "text/plain", "digest": "sha256:" + "a" * 64, "size": 12}],
    "tools": [],
    "provenance": {
        "source_repo": "https://git.example/agents",
        "commit": "0" * 40,
        "builder": "ci",
        "materials": [],
    },
}
STANDS = (
    "SELECT a.state, a.problem, count(f.id), count(DISTINCT f.kind), "
    "(SELECT count(*) FROM evidence_leaf l WHERE l.kind = 'artefact' AND l.subject_id = a.id) "
    "FROM evidence_artefact a LEFT JOIN evidence_artefactfile f ON f.artefact_id = a.id GROUP BY a.id"
)


def test_a_card_is_made_once_however_often_the_signer_and_the_worker_are_killed() -> None:
    with product() as running:
        running.start()

        def stands() -> list[tuple[str, str, int, int, int]]:
            with psycopg.connect(running.superuser_url) as connection:
                return connection.execute(STANDS).fetchall()

        for number in range(4):
            running.manage("shell", "-v", "0", "-c", ISSUE.format(number=number, genome=GENOME))
            for words in (SIGNER, WORKER):
                running.kill(words)
                wait_for(lambda words=words: running.runs(words))  # type: ignore[misc]
        wait_for(lambda: [row[0] for row in stands()] == ["verified"] * 4, 240)
        assert all(row[1:] == ("", 2, 2, 1) for row in stands()), stands()
        assert leaves(running)[1] == 0


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()
