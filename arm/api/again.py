"""Asking again: `ETag` with `If-None-Match` and `If-Match`, and `Idempotency-Key` (RFC 9110 13, the IETF draft)."""

import hashlib
import json
import re
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any, Final, cast

from django.core.files.uploadedfile import UploadedFile
from django.db import connection
from django.db.models import Model
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase, HttpResponseNotModified
from django.utils.http import parse_etags
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import views
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from arm import permissions, services
from arm.errors import DomainError, Invalid, Problem
from arm.models import IdempotentReply, User
from arm.permissions import Asked

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
KEY: Final = "Idempotency-Key"
_SOUND = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_KEPT_HEADERS: Final = ("Content-Type", "Location", "ETag")
_SHOWN_ONCE: Final = re.compile(
    rb'"(one_time_password|token|secret)"\s*:\s*"[^"]|\barm[a-z]_[0-9A-Za-z]{16,}'
)
"""What an answer shows this once, and nothing of ours keeps."""


class ChangedMeanwhile(DomainError):
    """What is there is not what the caller last read (`If-Match`)."""

    code = "changed_meanwhile"
    status = 412


class Replay(Exception):
    def __init__(self, reply: IdempotentReply) -> None:
        super().__init__()
        self.reply = reply


def etag_of(representation: Any) -> str:
    """The strong ETag of a representation: of its JSON values, whatever their spelling."""
    spelled = json.dumps(representation, cls=JSONEncoder, sort_keys=True)
    return f'"{hashlib.sha256(spelled.encode()).hexdigest()[:32]}"'


class Endpoint(views.APIView):
    """Every endpoint that people and service accounts call. A write that brings a key of its own happens once."""

    claimed: tuple[str, str] | None = None
    rests_on: AbstractSet[Asked] = frozenset()

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """With a key, every right that is asked on the way is noted: a second answer rests on the same."""
        noted: set[Asked] = set()
        token = permissions.rests_on.set(noted if KEY in request.headers else None)
        self.rests_on = noted
        try:
            return super().dispatch(request, *args, **kwargs)
        finally:
            permissions.rests_on.reset(token)

    def require_still_seen(self) -> None:
        """Http404 where what the address names is no longer the caller's to see; for views that name something."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        key = request.headers.get(KEY)
        tenant = getattr(request._request, "tenant", None)
        if key is None or request.method in SAFE or tenant is None or not isinstance(request.user, User):
            return
        if not _SOUND.fullmatch(key):
            message = f"{KEY} is 1 to 255 visible ASCII characters."
            raise Invalid(message, [Problem(pointer=f"/{KEY}", code="invalid", message=message)])
        asked = asked_digest(request)
        reply = services.recall(tenant=tenant, user=request.user, key=key, asked=asked)
        if reply is not None:
            self.require_still_seen()
            services.require_again(user=request.user, kept=reply)
            raise Replay(reply)
        self.claimed = key, asked

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, Replay):
            return given_before(exc.reply)  # type: ignore[return-value]
        return super().handle_exception(exc)

    def finalize_response(  # type: ignore[override]  # an answer need not be DRF's
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        final: HttpResponseBase = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        if self.claimed is not None and 200 <= final.status_code < 300:
            if isinstance(final, Response):
                final.add_post_render_callback(lambda done: self._keep(request, done))
            else:
                self._keep(request, final)
        return final

    def _keep(self, request: Request, response: Any) -> None:
        assert self.claimed is not None
        key, asked = self.claimed
        body = None if getattr(response, "streaming", False) else bytes(response.content)
        if body is not None and _SHOWN_ONCE.search(body):
            body = None
        services.remember(
            tenant=request._request.tenant,  # type: ignore[attr-defined]
            user=cast(User, request.user),
            key=key,
            asked=asked,
            status=response.status_code,
            headers={name: response[name] for name in _KEPT_HEADERS if name in response},
            body=body,
            rests_on=[asked for asked in self.rests_on if asked.actor == request.user.pk],
        )


def asked_digest(request: Request) -> str:
    """What makes two requests the same: method, address, media type, body (of a form: its fields and files)."""
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    digest = hashlib.sha256("\n".join([str(request.method), request.get_full_path(), kind, ""]).encode())
    if kind != "multipart/form-data":
        digest.update(request._request.body)
        return f"sha256:{digest.hexdigest()}"
    form = cast(QueryDict, request.data)
    for name, values in sorted(form.lists()):  # a form sent again has another boundary
        for value in values:
            digest.update(f"\n{len(name)} {name}\n".encode())
            if isinstance(value, UploadedFile):
                digest.update(f"{value.name} {value.size}\n".encode())
                for chunk in value.chunks():
                    digest.update(chunk)
                value.seek(0)
            else:
                digest.update(f"{len(str(value))} {value}".encode())
    return f"sha256:{digest.hexdigest()}"


def given_before(reply: IdempotentReply) -> HttpResponse:
    answer = HttpResponse(bytes(reply.body or b""), status=reply.status, headers=reply.headers)
    answer["Idempotency-Replayed"] = "true"
    return answer


def not_modified(request: Request, response: HttpResponseBase) -> HttpResponseBase:
    """304 in place of an answer that the caller has already (weak comparison, RFC 9110 13.1.2)."""
    had = parse_etags(request.headers.get("If-None-Match", ""))
    etag = str(response.headers["ETag"])
    if response.status_code != 200 or not ("*" in had or etag in {tag.removeprefix("W/") for tag in had}):
        return response
    unchanged = HttpResponseNotModified()
    unchanged["ETag"] = etag
    return unchanged


def must_match(request: Request, found: Model, etags: list[str]) -> None:
    """ChangedMeanwhile unless one of `etags` is named by `If-Match` (strong comparison, RFC 9110 13.1.1)."""
    named = parse_etags(request.headers["If-Match"])
    if "*" not in named and not set(named) & set(etags):
        message = f"{found} has changed since you read it. Read it again, then decide."
        raise ChangedMeanwhile(message, etag=etags[0])


@cache
def _may_change(table: str) -> bool:
    """Whether the application may update rows of the table, and so lock them: append-only ones it may not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_any_column_privilege(%s, 'UPDATE')", [table])
        return bool(cursor.fetchone()[0])


def hold(found: Model) -> None:
    """Nobody changes the row until this transaction ends. Rows that the application never updates hold still anyway."""
    if _may_change(found._meta.db_table):
        rows = type(found)._base_manager.select_for_update(no_key=True).only("pk")
        rows.get(pk=found.pk)


class Schema(AutoSchema):
    """The OpenAPI document says which writes take a key, which take the ETag of what was read, and what may be null."""

    def _get_serializer_field_meta(self, field: Any, direction: str) -> Any:
        """A value that is not there (`default=None`) is shown as null."""
        found = super()._get_serializer_field_meta(field, direction)  # type: ignore[no-untyped-call]
        if direction == "response" and field.default is None:
            found["nullable"] = True
        return found

    def get_override_parameters(self) -> list[Any]:
        found: list[Any] = super().get_override_parameters()
        if self.method in SAFE or not isinstance(self.view, Endpoint):
            return found
        text = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        once = "Sent again with the same key, this happens once and answers the same (24 hours)."
        found = [*found, OpenApiParameter(KEY, text, OpenApiParameter.HEADER, description=once)]
        if "{id}" in self.path:
            match = "ETag of what was read; 412 `changed_meanwhile` where it is another by now."
            found.append(OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description=match))
        return found
