"""A transaction that is begun in one message: inside the wall, on a living connection, committed or not at all."""

import time
import uuid
from contextlib import suppress

import psycopg
import pytest
from django.db import connections, transaction
from psycopg.pq import ConnStatus, TransactionStatus

from arm import db
from arm.copying import Prepared, writing

pytestmark = pytest.mark.usefixtures("committed")
TENANT = uuid.uuid4()


def settings() -> tuple[str, str]:
    """What a transaction sees of the wall and of how long it waits."""
    with writing("ingest", TENANT) as cursor:
        cursor.execute("SELECT current_setting('arm.tenants'), current_setting('lock_timeout')")
        found: tuple[str, str] = cursor.fetchone()
        return found


def is_idle() -> bool:
    link = connections["ingest"].connection.pgconn
    return (link.status, link.transaction_status) == (ConnStatus.OK, TransactionStatus.IDLE)


def kill_the_session() -> None:
    """From another session of the same role, as a restart of the server would."""
    pid = connections["ingest"].connection.info.backend_pid
    with psycopg.connect(**connections["ingest"].get_connection_params(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    time.sleep(0.2)


def test_a_transaction_sees_its_tenant_and_leaves_nothing_behind():
    assert settings() == (f"{{{TENANT}}}", "3s")
    assert is_idle()
    with connections["ingest"].cursor() as cursor:
        cursor.execute("SELECT current_setting('arm.tenants', true), current_setting('lock_timeout')")
        assert cursor.fetchone() in {("", "0"), (None, "0")}


def test_a_connection_that_was_lost_is_made_anew():
    settings()
    kill_the_session()
    assert settings() == (f"{{{TENANT}}}", "3s")


def test_a_connection_that_is_known_to_be_lost_is_made_anew():
    settings()
    kill_the_session()
    connections["ingest"].connection.pgconn.exec_(b"SELECT 1")
    assert connections["ingest"].connection.pgconn.status == ConnStatus.BAD
    assert settings() == (f"{{{TENANT}}}", "3s")


def test_a_failure_that_somebody_swallowed_does_not_count_as_stored():
    refused = pytest.raises(psycopg.errors.InFailedSqlTransaction, match="nothing was stored")
    with refused, writing("ingest", TENANT) as cursor, suppress(psycopg.errors.DivisionByZero):
        cursor.execute("SELECT 1 / 0")
    assert is_idle()
    assert settings() == (f"{{{TENANT}}}", "3s")


def test_an_interruption_in_the_middle_of_a_copy_leaves_the_connection_usable():
    with pytest.raises(KeyboardInterrupt), writing("ingest", TENANT) as cursor:
        link = cursor.connection.pgconn
        link.exec_(b"COPY partitions.telemetry_job (id) FROM STDIN (FORMAT binary)")
        link.put_copy_data(b"PGCOPY\n\xff\r\n\x00" + bytes(8))
        raise KeyboardInterrupt
    assert is_idle()
    assert settings() == (f"{{{TENANT}}}", "3s")


def test_a_beginning_that_fails_leaves_no_transaction_open(monkeypatch):
    settings()
    with monkeypatch.context() as patch:
        patch.setattr(db, "SETTING", "nope nope")
        with pytest.raises(psycopg.errors.SyntaxError):
            settings()
    assert is_idle()
    assert settings() == (f"{{{TENANT}}}", "3s")


def test_it_does_not_end_a_transaction_of_somebody_else():
    with transaction.atomic(using="ingest"), pytest.raises(RuntimeError, match="already"):
        settings()


def test_a_prepared_statement_is_prepared_once_for_each_connection():
    twice = Prepared("SELECT %(n)s::bigint + 1, %(word)s::text, %(n)s::bigint, NULL, true")
    for number in (2**40, 2):
        with writing("ingest", TENANT) as cursor:
            said = twice.rows(cursor.connection, {"n": number, "word": "it's naïve; --", "more": 1})
        assert said == [[str(number + 1), "it's naïve; --", str(number), None, "t"]]
    with connections["ingest"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name = %s", [twice.name.decode()])
        assert cursor.fetchone() == (1,)
    kill_the_session()
    with writing("ingest", TENANT) as cursor:
        assert twice.rows(cursor.connection, {"n": 1, "word": ""}) == [["2", "", "1", None, "t"]]


def test_a_prepared_statement_that_fails_raises_what_psycopg_raises_and_may_be_used_again():
    divided = Prepared("SELECT 1 / %(n)s::int")
    with pytest.raises(psycopg.errors.DivisionByZero), writing("ingest", TENANT) as cursor:
        divided.rows(cursor.connection, {"n": 0})
    assert is_idle()
    with writing("ingest", TENANT) as cursor:
        assert divided.rows(cursor.connection, {"n": 1}) == [["1"]]
    with pytest.raises(psycopg.errors.SyntaxError), writing("ingest", TENANT) as cursor:
        Prepared("SELECT FROM FROM").rows(cursor.connection, {})


def test_a_text_with_a_nul_is_refused_and_not_cut_short():
    with pytest.raises(psycopg.DataError), writing("ingest", TENANT) as cursor:
        Prepared("SELECT %(word)s::text").rows(cursor.connection, {"word": "a\0b"})
    assert is_idle()


def test_what_need_not_be_durable_does_not_wait_for_the_disk():
    asked = Prepared("SELECT current_setting('synchronous_commit')")
    for durable, said in ((True, "on"), (False, "off")):
        with writing("ingest", TENANT, durable=durable) as cursor:
            assert asked.rows(cursor.connection, {}) == [[said]]
