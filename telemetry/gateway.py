"""POST /otlp/v1/traces as a plain WSGI callable in front of Django, in the same process with the same code.

Answers are OTLP's: ExportTraceServiceResponse, or google.rpc.Status, in the encoding of the request.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIEnvironment

import msgspec
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from arm import ids, logs
from arm.errors import DomainError, NotFound, Unauthenticated, Unavailable

from .parsing import JSON, PROTOBUF, BodyTooLarge, Reason, Undecodable, UnsupportedMedia, media_type, plain
from .queries.credentials import Credential, credential_of
from .services import Receipt, ingest

log = logging.getLogger("arm.telemetry")

GRPC_CODES: Final[Mapping[int, int]] = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    404: 5,  # NOT_FOUND
    405: 12,  # UNIMPLEMENTED
    413: 8,  # RESOURCE_EXHAUSTED
    415: 12,
    500: 13,  # INTERNAL
    503: 14,  # UNAVAILABLE
}
ID_MAX: Final = 64
BUSY_SECONDS: Final = 2


class _Refused(Exception):
    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def traces(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The lane: authenticates, reads, stores, answers. A client is only told 200 once the batch is committed."""
    asked = environ.get("HTTP_X_REQUEST_ID", "")
    asked = asked if asked.isascii() and asked.isprintable() and 8 <= len(asked) <= ID_MAX else ""
    asked = asked or ids.encode("req", ids.uuid7())
    token = logs.request_id.set(asked)
    media = JSON if environ.get("CONTENT_TYPE", "").lower().startswith(JSON) else PROTOBUF
    close_old_connections()
    try:
        status, headers, body = 200, {}, _success(_carry_out(environ), media)
    except _Refused as refusal:
        status, headers, body = (
            refusal.status,
            refusal.headers,
            _failure(refusal.status, refusal.message, media),
        )
    except Exception:
        log.exception("telemetry failed")
        status, headers, body = (
            500,
            {},
            _failure(500, "This is our mistake; the batch was not stored.", media),
        )
    finally:
        close_old_connections()
        logs.request_id.reset(token)
    fixed = {"Content-Type": media, "Content-Length": str(len(body)), "X-Request-ID": asked}
    start_response(f"{status} {HTTPStatus(status).phrase}", list({**fixed, **headers}.items()))
    return [body]


def _carry_out(environ: WSGIEnvironment) -> Receipt:
    if environ["REQUEST_METHOD"] != "POST":
        raise _Refused(405, "Traces are sent by POST.", {"Allow": "POST"})
    try:
        credential = credential_of(environ.get("HTTP_AUTHORIZATION", ""))
        _check_place(environ, credential)
        media = media_type(environ.get("CONTENT_TYPE", ""))
        limit: int = settings.OTLP_MAX_BYTES
        body = plain(_read(environ, limit), environ.get("HTTP_CONTENT_ENCODING", ""), limit)
        return ingest(credential=credential, body=body, media=media)
    except Undecodable as problem:
        raise _Refused(400, str(problem)) from problem
    except BodyTooLarge as problem:
        raise _Refused(413, str(problem)) from problem
    except UnsupportedMedia as problem:
        raise _Refused(415, str(problem)) from problem
    except Unauthenticated as problem:
        raise _Refused(401, problem.message, {"WWW-Authenticate": 'Bearer realm="arm"'}) from problem
    except Unavailable as problem:
        raise _Refused(503, problem.message, {"Retry-After": str(problem.retry_after)}) from problem
    except (
        OperationalError,
        InterfaceError,
    ) as problem:  # away or too slow: an exporter would drop its batch on 500
        log.warning("the database is busy", extra={"problem": str(problem).strip()})
        message = "The database is busy; nothing was stored. Send the batch again."
        raise _Refused(503, message, {"Retry-After": str(BUSY_SECONDS)}) from problem
    except DomainError as problem:
        raise _Refused(problem.status, problem.message) from problem


def _check_place(environ: WSGIEnvironment, credential: Credential) -> None:
    """A client that says which tenant or provider it means must mean those of its key."""
    tenant, provider = environ.get("HTTP_ARM_TENANT"), environ.get("HTTP_ARM_PROVIDER")
    if tenant is not None and tenant not in (credential.tenant_slug, ids.encode("ten", credential.tenant_id)):
        raise NotFound("There is no such tenant for this key.")
    if provider is not None and provider not in (
        credential.provider_slug,
        ids.encode("prov", credential.provider_id),
    ):
        raise NotFound("There is no such provider for this key.")


def _read(environ: WSGIEnvironment, limit: int) -> bytes:
    """The body as sent, at most `limit` bytes; one that says it is longer is not read at all."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length and not (length.isascii() and length.isdigit()):
        raise Undecodable("Content-Length is not a number.")
    if length and int(length) > limit:
        raise BodyTooLarge(f"The body has {length} bytes; {limit} are allowed.")
    stream: Any = environ["wsgi.input"]
    data: bytes = stream.read(int(length) if length else limit + 1)
    if length and len(data) < int(length):
        raise Undecodable("The body is shorter than its Content-Length.")
    if len(data) > limit:
        raise BodyTooLarge(f"The body has more than {limit} bytes.")
    return data


def _success(receipt: Receipt, media: str) -> bytes:
    """Quarantined spans are a warning, not a rejection: they are kept and counted, and must not be sent again."""
    if not receipt.quarantined:
        return b"" if media == PROTOBUF else b"{}"
    told: Counter[str] = Counter()
    for reason, count in receipt.quarantined.items():
        # Whether another tenant has such an instance is not the sender's to know.
        told[Reason.UNKNOWN_INSTANCE if reason == Reason.FOREIGN_TENANT else reason] += count
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(told.items()))
    message = f"Quarantined: {reasons}. Nothing was rejected."
    if media == JSON:
        return msgspec.json.encode({"partialSuccess": {"errorMessage": message}})
    answer = ExportTraceServiceResponse()
    answer.partial_success.error_message = message
    return bytes(answer.SerializeToString())


def _failure(status: int, message: str, media: str) -> bytes:
    code = GRPC_CODES.get(status, 2)
    if media == JSON:
        return msgspec.json.encode({"code": code, "message": message})
    return bytes(Status(code=code, message=message).SerializeToString())
