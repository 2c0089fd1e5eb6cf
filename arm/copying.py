"""COPY of rows that are packed already, straight through libpq: a hot path waits for the interpreter twice, not six times.

psycopg's own `cursor.copy` takes the interpreter's lock again at every step of the protocol; beside thirty threads that
want it too, those waits cost more than the commit they wait for.
"""

import select
from typing import Any

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

CHUNK = 64 * 1024
"""libpq refuses a piece that its buffer has no room for; pieces of this size always find room."""


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
