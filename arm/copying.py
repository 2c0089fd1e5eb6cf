"""Transactions, prepared statements and COPY of rows that are packed already, straight through libpq: a hot path waits for the interpreter
twice, not six times.

psycopg's own `cursor.copy` takes the interpreter's lock again at every step of the protocol; beside thirty threads that
want it too, those waits cost more than the commit they wait for.
"""

import itertools
import re
import select
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID
from weakref import WeakSet

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from arm import db

CHUNK = 64 * 1024
"""libpq refuses a piece that its buffer has no room for; pieces of this size always find room."""

_PARAMETER: Final = re.compile(r"%\((\w+)\)s")


@contextmanager
def writing(alias: str, tenant_id: UUID, *, durable: bool = True) -> Iterator["psycopg.Cursor[Any]"]:
    """A transaction inside the wall of one tenant, which waits for nobody long, with a cursor of psycopg's own.

    Beginning it, the wall and the limits are one message to the server; a connection that was lost meanwhile is made anew.
    Not `durable`: its commit may be lost with the machine a moment later, which spares everybody the wait for the disk.
    Raises what psycopg raises; RuntimeError inside a transaction of Django's, which this one would end.
    """
    begin = (
        f"BEGIN; SET LOCAL {db.SETTING} = '{{{tenant_id}}}'; SET LOCAL lock_timeout = '3s';"
        " SET LOCAL statement_timeout = '20s'" + ("" if durable else "; SET LOCAL synchronous_commit = off")
    ).encode()
    connection = connections[alias]
    if connection.in_atomic_block:
        raise RuntimeError("There is a transaction already.")
    begun = _begun(connection, begin)
    raw: psycopg.Connection[Any] = connection.connection
    link = raw.pgconn
    try:
        if begun is None or begun.status != ExecStatus.COMMAND_OK:
            raise _problem(link, begun)
        with psycopg.Cursor(
            raw
        ) as cursor:  # not Django's: parameters are bound by the server, statements prepared
            yield cursor
        ended = link.exec_(b"COMMIT")
        if ended.status != ExecStatus.COMMAND_OK:
            raise _problem(link, ended)
        if ended.command_status != b"COMMIT":
            raise psycopg.errors.InFailedSqlTransaction("A statement had failed: nothing was stored.")
    except BaseException:
        if link.status == ConnStatus.OK and link.transaction_status != TransactionStatus.IDLE:
            link.exec_(b"ROLLBACK")
        raise


def _begun(connection: BaseDatabaseWrapper, begin: bytes) -> PGresult | None:
    """The answer to `begin`, on a new connection where the old one turns out to be lost; None: lost again."""
    for _ in range(2):
        connection.ensure_connection()
        link = connection.connection.pgconn
        if link.status == ConnStatus.OK:
            begun: PGresult = link.exec_(begin)
            if link.status == ConnStatus.OK:
                return begun
        connection.close()
    connection.ensure_connection()
    return None


class Prepared:
    """A statement that each connection prepares once, and that costs one wait from then on.

    Its parameters are written `%(name)s` and are never NULL; the server finds their types by where they stand.
    """

    _numbers: Final = itertools.count(1)

    def __init__(self, statement: str) -> None:
        self.names = list(dict.fromkeys(_PARAMETER.findall(statement)))
        places = {name: f"${place}" for place, name in enumerate(self.names, 1)}
        self.statement = _PARAMETER.sub(lambda found: places[found[1]], statement).encode()
        self.name = f"arm_{next(Prepared._numbers)}".encode()
        self._known: WeakSet[psycopg.Connection[Any]] = WeakSet()

    def rows(
        self, connection: "psycopg.Connection[Any]", values: Mapping[str, object]
    ) -> list[list[str | None]]:
        """The rows, each value as PostgreSQL writes it. Raises what psycopg raises; DataError for a NUL in a text."""
        given = [str(values[name]).encode() for name in self.names]
        if any(b"\0" in value for value in given):
            raise psycopg.DataError("A text of PostgreSQL has no NUL.")
        link = connection.pgconn
        if connection not in self._known:
            made = link.prepare(self.name, self.statement)
            if made.status != ExecStatus.COMMAND_OK:
                raise _problem(link, made)
            self._known.add(connection)
        result = link.exec_prepared(self.name, given)
        if result.status != ExecStatus.TUPLES_OK:
            raise _problem(link, result)
        columns = range(result.nfields)
        return [[_text(result.get_value(row, column)) for column in columns] for row in range(result.ntuples)]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def copy_in(connection: "psycopg.Connection[Any]", statement: bytes, data: bytes) -> None:
    """Run `COPY … FROM STDIN (FORMAT binary)` with the whole of `data`: header, rows and trailer.

    In a transaction it is part of that; in autocommit it is committed when this returns. Raises what psycopg raises
    (psycopg.errors.UniqueViolation, …); psycopg.OperationalError when the connection is lost, and then it is not known
    whether the rows are stored.
    """
    link = connection.pgconn
    started = link.exec_(statement)  # waits without the interpreter's lock
    if started.status != ExecStatus.COPY_IN:
        raise _problem(link, started)
    for at in range(0, len(data), CHUNK):
        while not link.put_copy_data(data[at : at + CHUNK]):
            _flush(link)
    while not link.put_copy_end():
        _flush(link)
    _flush(link)
    waiting = select.poll()
    waiting.register(link.socket, select.POLLIN)
    while link.is_busy():
        waiting.poll()
        link.consume_input()
    result = link.get_result()
    while link.get_result() is not None:
        pass  # the connection is ready again after the last
    if result is None or result.status != ExecStatus.COMMAND_OK:
        raise _problem(link, result)


def _flush(link: PGconn) -> None:
    """Send what libpq holds; what the server says meanwhile is read, so that neither waits for the other."""
    if not link.flush():
        return
    room = select.poll()
    room.register(link.socket, select.POLLIN | select.POLLOUT)
    while link.flush():
        for _, event in room.poll():
            if event & select.POLLIN:
                link.consume_input()


def _problem(link: PGconn, result: PGresult | None) -> psycopg.Error:
    state = result.error_field(DiagnosticField.SQLSTATE) if result is not None else None
    said = result if result is not None else link
    message = said.get_error_message() or "the connection is lost"
    if not state:
        return psycopg.OperationalError(message)
    try:
        return psycopg.errors.lookup(state.decode())(message)
    except KeyError:
        return psycopg.DatabaseError(message)
