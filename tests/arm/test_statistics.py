"""The planner knows every table that holds something, however it grew and whatever a crash has erased."""

import pytest
from django.db import connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from arm import clock, statistics
from tests import make
from tests.telemetry.sending import a_batch, forget, send, sender

pytestmark = pytest.mark.usefixtures("committed")

GROWN = """
INSERT INTO telemetry_event
SELECT (jsonb_populate_record(t, jsonb_build_object(
  'event_id', overlay(t.event_id::text placing lpad(to_hex(n), 12, '0') from 25 for 12)))).*
FROM telemetry_event t, generate_series(1, %s) n WHERE t.event_id = (SELECT event_id FROM telemetry_event LIMIT 1)
"""


TODAY = f"partitions.telemetry_event_{clock.today():%Y%m%d}"


@pytest.fixture(autouse=True)
def _forget(committed):
    forget()
    yield
    forget()


def known_rows(table: str) -> float:
    """What the catalogue believes; -1 when nobody has ever looked."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [table])
        return float(cursor.fetchone()[0])


def grow(tenant_id, rows: int) -> None:
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute("SELECT set_config('arm.tenants', %s, true)", [f"{{{tenant_id}}}"])
        # Nobody but ARM looks, as after a crash, which sets autovacuum's counters back.
        cursor.execute(f"ALTER TABLE {TODAY} SET (autovacuum_enabled = off)")
        cursor.execute(GROWN, [rows])


def test_a_parent_of_partitions_has_statistics_once_the_database_is_prepared():
    for parent in ("telemetry_event", "costs_ledgerentry", "policy_decision"):
        assert known_rows(parent) >= 0


def test_the_schedule_learns_of_growth_as_the_application_and_then_rests():
    instance, token = sender()
    assert send(a_batch(instance), token).status == 200
    grow(instance.tenant_id, 30_000)
    assert statistics.collect() >= 2
    assert known_rows("telemetry_event") >= 30_000
    assert known_rows(TODAY) >= 30_000
    assert statistics.collect() == 0


def test_the_events_page_reads_an_index_and_not_every_event():
    instance, token = sender()
    alice = make.everything(make.user("", member_of=instance.tenant), instance.tenant)
    assert send(a_batch(instance), token).status == 200
    grow(instance.tenant_id, 30_000)
    statistics.collect()
    browser = Client()
    browser.force_login(alice)
    default = connections["default"]
    with CaptureQueriesContext(default) as asked:
        assert browser.get(reverse("telemetry:event_list")).status_code == 200
    (page,) = [
        q["sql"]
        for q in asked
        if 'FROM "telemetry_event"' in q["sql"] and 'ORDER BY "telemetry_event"."event_id" DESC' in q["sql"]
    ]
    with transaction.atomic(), default.cursor() as cursor:
        cursor.execute("SELECT set_config('arm.tenants', %s, true)", [f"{{{instance.tenant_id}}}"])
        cursor.execute("EXPLAIN " + page)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan" in plan
    assert f"Seq Scan on telemetry_event_{clock.today():%Y%m%d}" not in plan
