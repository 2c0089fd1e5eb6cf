"""POST /api/v1/policy/decide and its batch: authenticate, judge, commit the record, answer."""

import atexit
import contextvars
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final, TypeVar
from uuid import UUID
from wsgiref.types import StartResponse, WSGIEnvironment

from django.conf import settings
from django.db import DataError, close_old_connections, connections
from django.db import Error as DatabaseError

from arm import ids, logs
from arm.errors import DomainError, Invalid, NotFound, TooLarge, Unavailable

from . import wire
from .counters import Calls, Leases, Streaks
from .fleet import Credential, Fleet
from .judge import Judge
from .record import UNKEEPABLE, Recorder
from .watch import Watcher

log = logging.getLogger("arm.policy")
T = TypeVar("T")
Answer = tuple[int, dict[str, str], Any]

_SAFE_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
DATABASE_THREADS: Final = 4
"""Few connections a process: what is remembered needs none, the rest queues here."""


class Mistake(DomainError):
    code = "internal"
    status = 500


class NotPost(DomainError):
    code = "method_not_allowed"
    status = 405


class _Process:
    """What one process holds. Made at the first request, so that it belongs to the worker, not to its parent."""

    def __init__(self) -> None:
        self.fleet, self.leases = Fleet(), Leases()
        self.calls, self.streaks = Calls(), Streaks()
        self.recorder = Recorder()
        self.watcher = Watcher(self.fleet, self.calls, self.streaks, self.each_minute)
        self.judge = Judge(self.fleet, self.leases, self.calls, self.streaks, self.in_database)
        self._pool = ThreadPoolExecutor(DATABASE_THREADS, "policy-database")
        self._left = False
        atexit.register(self.leave)

    def in_database(self, work: Callable[[], T]) -> T:
        """Run where there are database connections; the caller's context (request id) goes along."""
        return self._pool.submit(contextvars.copy_context().run, _connected, work).result()

    def each_minute(self) -> None:
        self.leases.settle_idle(time.time())

    def leave(self) -> None:
        """The process ends: stop looking, hand back what was leased, close every connection."""
        if self._left:
            return
        self._left = True
        atexit.unregister(self.leave)
        self.watcher.stop()
        try:
            self.leases.settle_idle()
        except DatabaseError as problem:
            log.warning("leases stay with their limits until the window ends: %s", problem)
        self.recorder.stop()
        together = threading.Barrier(DATABASE_THREADS)
        for closing in [self._pool.submit(_close_connections, together) for _ in range(DATABASE_THREADS)]:
            closing.result()
        self._pool.shutdown()


def _close_connections(together: threading.Barrier) -> None:
    together.wait(5)  # so that each thread of the pool closes its own
    connections.close_all()


def _connected(work: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return work()
    finally:
        close_old_connections()


_process: _Process | None = None


def process() -> _Process:
    global _process
    if _process is None:
        _process = _Process()
    _process.watcher.ensure_running()
    return _process


def decide(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """One request, one decision."""
    return _serve(environ, start_response, _decide)


def decide_batch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Up to 100 requests; each is decided or refused for itself, all records in one commit."""
    return _serve(environ, start_response, _decide_batch)


def approval(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Where an approval stands, for who may ask for the agent: `?id=apr_…`."""
    return _serve(environ, start_response, _approval, method="GET")


def _serve(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    carry_out: Callable[[WSGIEnvironment, str], Answer],
    method: str = "POST",
) -> Iterable[bytes]:
    offered = environ.get("HTTP_X_REQUEST_ID", "")
    asked = offered if _SAFE_ID.fullmatch(offered) else ids.encode("req", ids.uuid7())
    token = logs.request_id.set(asked)
    try:
        if environ["REQUEST_METHOD"] != method:
            raise NotPost(f"Use {method} here.")
        status, headers, body = carry_out(environ, asked)
    except DomainError as refusal:
        status, headers, body = refusal.status, _headers(refusal, method), wire.problem(refusal, asked)
    except DataError as problem:
        log.error("no decision: %s", problem)  # asking again would not help, so this is no 503
        status, headers, body = 422, {}, wire.problem(Invalid(UNKEEPABLE), asked)
    except DatabaseError as problem:
        log.warning("no decision: %s", problem)
        busy = Unavailable("The database is busy; nothing was decided. Ask again.")
        status, headers, body = 503, _headers(busy, method), wire.problem(busy, asked)
    except Exception:
        log.exception("no decision")
        mistake = Mistake("This is our mistake; nothing was decided.")
        status, headers, body = 500, {}, wire.problem(mistake, asked)
    finally:
        logs.request_id.reset(token)
    content = wire.encode(body)
    kind = wire.JSON if status < 400 else wire.PROBLEM
    fixed = [
        ("Content-Type", kind),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        ("X-Request-ID", asked),
    ]
    start_response(f"{status} {HTTPStatus(status).phrase}", [*fixed, *headers.items()])
    return [content]


def _headers(refusal: DomainError, method: str) -> dict[str, str]:
    if refusal.status == 401:
        return {"WWW-Authenticate": 'Bearer realm="arm"'}
    if refusal.status == 405:
        return {"Allow": method}
    if isinstance(refusal, Unavailable):
        return {"Retry-After": str(refusal.retry_after)}
    return {}


def _decide(environ: WSGIEnvironment, request_id: str) -> Answer:
    here = process()
    credential = _credential(here, environ)
    asked = wire.read_one(_body(environ))
    ruled = here.judge.rule(credential, _instance(credential, asked), asked.request(), request_id)
    here.recorder.commit(ruled.id, ruled.row, ruled.told)
    here.judge.follow_up(ruled)
    return 200, {}, ruled.body


def _decide_batch(environ: WSGIEnvironment, request_id: str) -> Answer:
    here = process()
    credential = _credential(here, environ)
    ruled, bodies = [], []
    for raw in wire.read_many(_body(environ)):
        try:
            asked = wire.read_one(raw)
            one = here.judge.rule(credential, _instance(credential, asked), asked.request(), request_id)
        except (Invalid, NotFound) as refusal:
            bodies.append(wire.problem(refusal, request_id))
            continue
        ruled.append(one)
        bodies.append(one.body)
    if ruled:
        told = tuple(call for one in ruled for call in one.told)
        here.recorder.commit(ruled[0].id, b"".join(one.row for one in ruled), told)
    for one in ruled:
        here.judge.follow_up(one)
    return 200, {}, {"decisions": bodies}


def _approval(environ: WSGIEnvironment, request_id: str) -> Answer:
    here = process()
    credential = _credential(here, environ)
    name, _, text = environ.get("QUERY_STRING", "").partition("=")
    try:
        wanted = ids.decode("apr", text if name == "id" else "")
    except ValueError as problem:
        raise wire.refused("/id", "invalid", str(problem)) from problem
    return 200, {}, here.in_database(lambda: here.judge.approval(credential, wanted))


def _credential(here: _Process, environ: WSGIEnvironment) -> Credential:
    header = environ.get("HTTP_AUTHORIZATION", "")
    return here.fleet.known(header) or here.in_database(lambda: here.fleet.identify(header))


def _instance(credential: Credential, asked: wire.AskIn) -> UUID:
    if asked.instance is None:
        if credential.instance_id is None:
            raise wire.refused("/instance", "required", "Say which agent asks: its identifier (ins_…).")
        return credential.instance_id
    try:
        return ids.decode("ins", asked.instance)
    except ValueError as problem:
        raise wire.refused("/instance", "invalid", str(problem)) from problem


def _body(environ: WSGIEnvironment) -> bytes:
    limit: int = settings.DECIDE_MAX_BYTES
    length = environ.get("CONTENT_LENGTH") or ""
    if length and not (length.isascii() and length.isdigit()):
        raise wire.Malformed("Content-Length is not a number.")
    too_large = TooLarge(f"A request is at most {limit} bytes.", limit=limit)
    if length and int(length) > limit:
        raise too_large
    body: bytes = environ["wsgi.input"].read(int(length) if length else limit + 1)
    if len(body) > limit:
        raise too_large
    return body
