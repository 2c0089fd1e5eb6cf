"""The heartbeat and the poll as plain WSGI callables in front of Django, for adapters with which all is well.

Whatever is not exactly that, a refusal above all, goes on to the view of the same address as it came (ADR 35).
"""

import io
import json
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from uuid import UUID
from wsgiref.types import StartResponse, WSGIEnvironment

import psycopg
from django.db import Error as DatabaseError
from django.db import close_old_connections

from arm import crypto, ids, logs
from arm.errors import DomainError
from arm.lanes import DJANGO

from ..models import AdapterSession
from ..protocol import reading
from ..services import quiet
from .control import POLL_SECONDS, Heartbeat, Poll, answer_of

log = logging.getLogger("arm.federation")

LONGEST: Final = 16 * 1024
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_HEARTBEAT: Final = re.compile(r"/federation/v1/sessions/(fse_[0-7][0-9a-z]{25})/heartbeat")
_POLL: Final = "/federation/v1/poll"
Answer = tuple[dict[str, Any], list[tuple[str, str]]]


def heartbeat(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A heartbeat that changes nothing."""
    return _serve(environ, start_response, _heartbeat)


def poll(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A poll for which nothing waits."""
    return _serve(environ, start_response, _poll)


def _serve(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    carry_out: Callable[[WSGIEnvironment, bytes], Answer | None],
) -> Iterable[bytes]:
    body = _body(environ)
    offered = environ.get("HTTP_X_REQUEST_ID", "")
    asked = offered if _SAFE_ID.fullmatch(offered) else ids.encode("req", ids.uuid7())
    token = logs.request_id.set(asked)
    answer = None
    close_old_connections()
    try:
        answer = carry_out(environ, body) if body is not None else None
    except (DomainError, ValueError):
        pass  # the view says what is wrong
    except (psycopg.Error, DatabaseError) as problem:
        log.warning("the view is asked instead: %s", problem)
    except Exception:
        log.exception("the view is asked instead")
    finally:
        close_old_connections()
        logs.request_id.reset(token)
    if answer is None:
        if body is not None:
            environ["wsgi.input"] = io.BytesIO(body)
        django = environ[DJANGO]
        return django(environ, start_response)  # type: ignore[no-any-return]
    said, headers = answer
    content = json.dumps(said, separators=(",", ":")).encode()
    fixed = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "private, no-store"),
        ("X-Request-ID", asked),
    ]
    start_response("200 OK", [*fixed, *headers])
    return [content]


def _heartbeat(environ: WSGIEnvironment, body: bytes) -> Answer | None:
    path = _HEARTBEAT.fullmatch(environ["PATH_INFO"])
    bearer = _bearer(environ, Heartbeat.scope)
    if path is None or bearer is None:
        return None
    beat = quiet.heartbeat(bearer=bearer, session=_session(path[1]), said=reading.read(body, "heartbeat"))
    return (answer_of(beat), []) if beat else None


def _poll(environ: WSGIEnvironment, body: bytes) -> Answer | None:
    bearer = _bearer(environ, Poll.scope)
    if environ["PATH_INFO"] != _POLL or bearer is None:
        return None
    session = _session(environ.get("HTTP_ARM_SESSION", ""))
    if not quiet.poll(bearer=bearer, session=session, said=reading.read(body, "poll")):
        return None
    return {"sets": {}, "moreAvailable": False}, [("Retry-After", str(POLL_SECONDS))]


def _session(text: str) -> UUID:
    return ids.decode(AdapterSession.prefix, text)


def _bearer(environ: WSGIEnvironment, scope: str) -> quiet.Bearer | None:
    header = environ.get("HTTP_AUTHORIZATION", "")
    if not header.startswith("Bearer arma_"):
        return None
    found = quiet.bearer_of(crypto.token_digest(header[7:]))
    return found if found is not None and scope in found.scopes else None


def _body(environ: WSGIEnvironment) -> bytes | None:
    """The body, if it is short and plain; else it is not touched."""
    length = environ.get("CONTENT_LENGTH") or ""
    plain = length.isascii() and length.isdigit() and not environ.get("HTTP_CONTENT_ENCODING")
    if environ["REQUEST_METHOD"] != "POST" or not plain or int(length) > LONGEST:
        return None
    data: bytes = environ["wsgi.input"].read(int(length))
    return data
