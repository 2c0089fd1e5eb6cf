"""COPY through libpq: everything or nothing, psycopg's own errors, and no thread kept waiting."""

import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections

from arm.copying import CHUNK, copy_in

COPY = b"COPY copied (number, word) FROM STDIN (FORMAT binary)"
pytestmark = pytest.mark.django_db(databases=["owner"])


def packed(*rows: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack(f">hiii{len(word)}s", 2, 4, number, len(word), word) for number, word in rows)
    return b"PGCOPY\n\xff\r\n\x00" + bytes(8) + body + b"\xff\xff"


@pytest.fixture
def link() -> Iterator["psycopg.Connection[Any]"]:
    """A connection of its own, with a table that both of this module's connections see."""
    with psycopg.connect(**connections["owner"].get_connection_params(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS copied")
        connection.execute("CREATE TABLE copied (number integer PRIMARY KEY, word text)")
        yield connection
        if not connection.closed:
            connection.execute("DROP TABLE copied")


def count(link: "psycopg.Connection[Any]") -> int:
    (found,) = link.execute("SELECT count(*) FROM copied").fetchone() or (0,)
    return int(found)


def test_every_row_is_stored(link: "psycopg.Connection[Any]") -> None:
    copy_in(link, COPY, packed((1, b"one"), (2, b"two")))
    assert link.execute("SELECT number, word FROM copied ORDER BY 1").fetchall() == [(1, "one"), (2, "two")]


def test_data_of_many_times_the_buffer_arrives_whole(link: "psycopg.Connection[Any]") -> None:
    data = packed(*((number, b"x" * 1000) for number in range(20_000)))
    assert len(data) > 100 * CHUNK
    copy_in(link, COPY, data)
    assert link.execute("SELECT count(*), sum(length(word)) FROM copied").fetchone() == (20_000, 20_000_000)


def test_a_known_key_stores_nothing_and_the_connection_goes_on(link: "psycopg.Connection[Any]") -> None:
    copy_in(link, COPY, packed((1, b"one")))
    with pytest.raises(psycopg.errors.UniqueViolation, match="copied_pkey"):
        copy_in(link, COPY, packed((2, b"two"), (1, b"again")))
    copy_in(link, COPY, packed((3, b"three")))
    assert link.execute("SELECT array_agg(number ORDER BY number) FROM copied").fetchone() == ([1, 3],)


def test_a_table_that_is_not_there_is_said_before_anything_is_sent(link: "psycopg.Connection[Any]") -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        copy_in(link, COPY.replace(b"copied", b"nowhere"), packed((1, b"one")))
    assert count(link) == 0


def test_bytes_that_are_no_copy_are_refused_as_data(link: "psycopg.Connection[Any]") -> None:
    with pytest.raises(psycopg.errors.BadCopyFileFormat):
        copy_in(link, COPY, b"what is this" * 10)
    copy_in(link, COPY, packed((1, b"one")))
    assert count(link) == 1


def test_a_statement_that_is_no_copy_is_an_error(link: "psycopg.Connection[Any]") -> None:
    with pytest.raises(psycopg.Error):
        copy_in(link, b"SELECT 1", packed((1, b"one")))


def test_in_a_transaction_it_is_undone_with_the_rest(link: "psycopg.Connection[Any]") -> None:
    with pytest.raises(ZeroDivisionError), link.transaction():
        copy_in(link, COPY, packed((1, b"one")))
        raise ZeroDivisionError
    assert count(link) == 0


def test_a_lost_connection_is_an_operational_error(link: "psycopg.Connection[Any]") -> None:
    backend = link.info.backend_pid
    with psycopg.connect(**connections["owner"].get_connection_params(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [backend])
        with pytest.raises(psycopg.OperationalError):
            copy_in(link, COPY, packed((1, b"one")))
        assert link.closed
        other.execute("DROP TABLE copied")


def test_other_threads_run_while_it_waits(link: "psycopg.Connection[Any]") -> None:
    turns = 0
    waiting = threading.Thread(target=copy_in, args=(link, COPY, packed((1, b"one"))))
    with psycopg.connect(**connections["owner"].get_connection_params()) as other:
        other.execute("LOCK TABLE copied")
        waiting.start()
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            turns += 1
        assert waiting.is_alive()
        other.commit()
    waiting.join(10)
    assert turns > 10_000
    assert count(link) == 1
