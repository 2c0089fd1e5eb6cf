"""What is lost when processes die: nothing that was acknowledged, and nothing is made twice."""

import json
import re
import threading
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psycopg
import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from arm import pg

from ..product import Product, wait_for
from .setting import genome
from .stage import SIGNER, WORKER, Stage, call
from .work import exporter, spans_of


def kill_9_of_gateway_web_worker_and_database_loses_no_acknowledged_event(stage: Stage) -> None:
    running = stage.running
    before = stage.database("SELECT count(*) FROM telemetry_event")
    acknowledged: list[int] = []
    failed: list[int] = []
    stop = threading.Event()

    def client() -> None:
        """Sends job after job, each again until it is acknowledged: what an exporter with retries does."""
        number = 0
        while not stop.is_set():
            spans = spans_of(stage, ((10, 0, 1),) * 3, f"job-kill-{threading.get_ident()}-{number}")
            sending = exporter(stage, timeout=2)
            while sending.export(spans) is not SpanExportResult.SUCCESS:
                failed.append(number)
                time.sleep(0.2)
            acknowledged.append(len(spans))
            number += 1

    clients = [threading.Thread(target=client) for _ in range(2)]
    for thread in clients:
        thread.start()
    for victim in ("arm.wsgi_gateway", "arm.wsgi:application", "qcluster --name arm", "postgres"):
        time.sleep(1.5)
        running.kill(victim)
    wait_for(lambda: _is_ready(running), 60)
    time.sleep(1)
    stop.set()
    for thread in clients:
        thread.join(60)
        assert not thread.is_alive()

    assert failed, "the kills were not felt"
    assert stage.database("SELECT count(*) FROM telemetry_event") - before == sum(acknowledged)
    doubled = "SELECT count(*) FROM (SELECT event_id FROM telemetry_event GROUP BY 1 HAVING count(*) > 1) d"
    assert stage.database(doubled) == 0
    lost = "SELECT count(*) FROM telemetry_event e WHERE NOT EXISTS (SELECT 1 FROM costs_ledgerentry l WHERE l.entry_id = e.event_id)"
    assert stage.database(lost + " AND e.input_tokens > 0") == 0


def _is_ready(running: Product) -> bool:
    for url in (running.url, running.gateway):
        try:
            with urlopen(f"{url}/ready/", timeout=3) as answer:
                if answer.status != 200:
                    return False
        except (HTTPError, URLError, ConnectionError, TimeoutError):
            return False
    return True


CHANGE = (
    "from arm import changes, db; from arm.models import Tenant; "
    "tenant_id = db.all_tenants()[0]; wall = db.tenants([tenant_id]); wall.__enter__(); "
    "tenant = Tenant.objects.get(pk=tenant_id); "
    "[changes.record(None, 'test.thing.made', tenant, reason=str(n)) for n in range({count})]; "
    "wall.__exit__(None, None, None)"
)


def leaves(running: Product) -> tuple[int, int]:
    """How many leaves the command counts in all tenants' logs, and how many findings."""
    said = re.findall(r"(\d+) leaves, (\d+) findings", running.manage("verify_log"))
    return sum(int(count) for count, _ in said), sum(int(wrong) for _, wrong in said)


LEAVES = "SELECT count(*) FROM evidence_leaf"
"""What is waited for: the command counts the same, and takes a process of its own each time it is asked."""


def records_are_sealed_by_the_signer_alone_and_a_killed_one_goes_on_where_it_was(stage: Stage) -> None:
    running = stage.running
    key = pg.secret(running.data, "key_encryption_key").encode()
    others = [
        running.pid(words)
        for words in ("arm.wsgi:application", "arm.wsgi_gateway", WORKER, "manage.py scheduler")
    ]
    signer = running.pid(SIGNER)
    holders = {
        pid for pid in running.every_pid() if pid != running.database_pid() and key in environment(pid)
    }
    assert signer in holders
    assert not holders & set(others)

    # Killed again and again while much waits: each record still has one leaf, in one unbroken log.
    before = stage.database(LEAVES)
    running.manage("shell", "-v", "0", "-c", CHANGE.format(count=3000))
    for _ in range(2):
        running.kill(SIGNER)
        wait_for(lambda: running.runs(SIGNER))
    wait_for(lambda: stage.database(LEAVES) >= before + 3000, 120)
    count, wrong = leaves(running)
    assert count >= before + 3000 and wrong == 0


CARDS = 3
"""Each kills both once; the longer a process dies again and again, the later it is started again."""
STANDS = (
    "SELECT a.state, a.problem, count(f.id), count(DISTINCT f.kind), "
    "(SELECT count(*) FROM evidence_leaf l WHERE l.kind = 'artefact' AND l.subject_id = a.id) "
    "FROM evidence_artefact a JOIN registry_versionevidence h ON h.artefact_id = a.id JOIN registry_agentversion v ON v.id = h.version_id JOIN registry_agenttemplate t ON t.id = v.template_id AND t.slug LIKE 'killed-%' LEFT JOIN evidence_artefactfile f ON f.artefact_id = a.id GROUP BY a.id"
)


def a_card_is_made_once_however_often_the_signer_and_the_worker_are_killed(stage: Stage) -> None:
    running = stage.running

    def stands() -> list[tuple[str, str, int, int, int]]:
        with psycopg.connect(running.superuser_url) as connection:
            return connection.execute(STANDS).fetchall()

    for number in range(CARDS):
        said = {"slug": f"killed-{number}", "name": "Agent", "reason": "test"}
        template = asked(stage, "alice", "registry/templates/", said)["id"]
        built = {"template": template, "genome": genome(template), "reason": "test"}
        version = asked(stage, "alice", "registry/versions/", built)["id"]
        asked(
            stage, "grace", "registry/evidence/", {"kind": "agent_card", "version": version, "reason": "test"}
        )
        for words in (SIGNER, WORKER):
            running.kill(words)
        wait_for(lambda: running.runs(SIGNER) and running.runs(WORKER), 60)
    wait_for(lambda: [row[0] for row in stands()] == ["verified"] * CARDS, 240)
    assert all(row[1:] == ("", 2, 2, 1) for row in stands()), stands()
    assert leaves(running)[1] == 0


def asked(stage: Stage, by: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the API answers to whoever makes something."""
    status, answer = stage.api(path, by, body)
    assert status == 201, answer
    made: dict[str, Any] = answer
    return made


def environment(pid: int) -> bytes:
    """Of a process that may have ended since it was listed: then it holds nothing."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def change_records_refuse_the_applications_own_role(stage: Stage) -> None:
    for statement in (
        "UPDATE arm_changerecord SET reason = ''",
        "DELETE FROM arm_changerecord",
        "TRUNCATE arm_changerecord",
    ):
        _refused(stage.running, statement)


def _refused(running: Product, statement: str) -> None:
    with psycopg.connect(running.application_url) as connection, pytest.raises(psycopg.Error):
        connection.execute("SELECT set_config('arm.tenants', %s, true)", [running.tenants()])
        connection.execute(statement)


def rows_of_another_tenant_show_nowhere(stage: Stage) -> None:
    running, facts = stage.running, stage.facts
    mallory = facts["mallory"]
    for noun, row in (("instances", "instance"), ("versions", "version"), ("templates", "template")):
        status, listed = call(f"{running.url}/api/v1/registry/{noun}/", mallory)
        assert status == 200
        assert facts[row] not in json.dumps(listed)
        assert call(f"{running.url}/api/v1/registry/{noun}/{facts[row]}/", mallory)[0] == 404
    status, listed = stage.api("registry/templates/", "dan")
    assert status == 200 and "secret-plan" not in json.dumps(listed)


STEPS = [
    kill_9_of_gateway_web_worker_and_database_loses_no_acknowledged_event,
    records_are_sealed_by_the_signer_alone_and_a_killed_one_goes_on_where_it_was,
    a_card_is_made_once_however_often_the_signer_and_the_worker_are_killed,
    change_records_refuse_the_applications_own_role,
    rows_of_another_tenant_show_nowhere,
]
