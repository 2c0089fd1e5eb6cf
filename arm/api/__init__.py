"""What every endpoint shares: problem+json, scoped reads, cursor pages, parsed bodies."""

import re
from base64 import b64decode
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DataError, IntegrityError, OperationalError, transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework import exceptions, request, serializers, viewsets
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import exception_handler as drf_exception_handler

from arm import ids, logs
from arm.api.again import SAFE, Endpoint, etag_of, hold, must_match, not_modified
from arm.conflicts import conflict_of
from arm.errors import DomainError, Invalid, Problem
from arm.models import Tenant, User
from arm.paging import ByKeys
from arm.permissions import visible
from arm.rights import Right

__all__ = ["Endpoint"]
M = TypeVar("M", bound=Model)
PROBLEM = "application/problem+json"


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
) -> Response:
    """An RFC 9457 answer: `type, title, status, code, detail, request_id` and what else the refusal carries."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": logs.request_id.get(),
        **extra,
    }
    return Response(body, status=status, headers=dict(headers or {}), content_type=PROBLEM)


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Every refusal as problem+json; what is not a refusal stays an exception and becomes a 500."""
    if isinstance(exc, DomainError):
        headers = {"Retry-After": str(exc.extra["retry_after"])} if "retry_after" in exc.extra else {}
        return problem(exc.status, exc.code, exc.message, headers=headers, **exc.extra)
    if isinstance(exc, IntegrityError) and (refusal := conflict_of(exc)) is not None:
        transaction.set_rollback(True)
        return problem(
            refusal.status, refusal.code, refusal.message, headers={}, errors=refusal.extra["errors"]
        )
    if isinstance(exc, OperationalError):
        if not transaction.get_connection().needs_rollback:
            transaction.set_rollback(True)
        return problem(
            503,
            "unavailable",
            "The database is busy; nothing was stored. Ask again.",
            headers={"Retry-After": "2"},
        )
    if isinstance(exc, DataError):  # such as a NUL, which text of PostgreSQL cannot hold
        if not transaction.get_connection().needs_rollback:
            transaction.set_rollback(True)
        return problem(422, "invalid", "A value of the request cannot be stored or compared.")
    if isinstance(exc, RequestDataTooBig):
        message = (
            f"The body is larger than is taken here: at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes."
        )
        whole = [Problem(pointer="", code="too_large", message=message)]
        return problem(413, "too_large", message, errors=whole)
    if isinstance(exc, Http404):
        return problem(404, "not_found", "There is no such object, or it is not yours to see.")
    if isinstance(exc, exceptions.ValidationError):
        errors = flatten(exc.detail)
        return problem(422, "invalid", "The request has wrong members.", errors=errors)
    response = drf_exception_handler(exc, context)
    if response is None or not isinstance(exc, exceptions.APIException):
        return response
    codes = exc.get_codes()
    headers = {name: value for name, value in response.items() if name in {"WWW-Authenticate", "Retry-After"}}
    code = {"parse_error": "malformed"}.get(str(codes), str(codes))
    return problem(response.status_code, code, str(exc.detail), headers=headers)


def flatten(detail: Any, pointer: str = "") -> list[Problem]:
    """DRF's nested error detail as a flat list with RFC 6901 pointers."""
    if isinstance(detail, Mapping):
        found = []
        for key, value in detail.items():
            part = "" if key == "non_field_errors" else "/" + str(key).replace("~", "~0").replace("/", "~1")
            found += flatten(value, pointer + part)
        return found
    if isinstance(detail, list | tuple):
        found = []
        for number, value in enumerate(detail):
            nested = isinstance(value, Mapping | list | tuple)
            found += flatten(value, f"{pointer}/{number}" if nested else pointer)
        return found
    return [
        Problem(pointer=pointer, code=str(getattr(detail, "code", None) or "invalid"), message=str(detail))
    ]


class Request(request.Request):
    """What an action receives once IsAuthenticated has spoken."""

    user: User


def tenant_of(request: request.Request) -> Tenant:
    """The tenant the caller works in; 404 for somebody who is a member of none."""
    tenant = getattr(request._request, "tenant", None)
    if tenant is None:
        raise Http404
    return tenant  # type: ignore[no-any-return]


def validated(serializer: type[Serializer[Any]], request: request.Request) -> dict[str, Any]:
    """The parsed body, or ValidationError naming every wrong member."""
    body = serializer(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


class StrictSerializer(serializers.Serializer[Any]):
    """For request bodies: a member that nobody reads is a mistake that the caller should hear of."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(map(str, data)) - set(self.fields)) if isinstance(data, Mapping) else []
        said = {name: serializers.ErrorDetail("Unknown member.", code="unknown") for name in unknown}
        try:
            read = super().to_internal_value(data)
        except serializers.ValidationError as wrong:
            if said and isinstance(wrong.detail, dict):
                wrong.detail |= said
            raise
        if said:
            raise serializers.ValidationError(said)
        return read


class TypeIDField(serializers.Field):  # type: ignore[type-arg]
    """A UUID shown and taken as a TypeID with this prefix (a bare UUID is taken too)."""

    default_error_messages: ClassVar = {"invalid": "{reason}"}

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        super().__init__(**kwargs)

    def to_representation(self, value: UUID | Model) -> str:
        return ids.encode(self.prefix, value if isinstance(value, UUID) else value.pk)

    def to_internal_value(self, data: Any) -> UUID:
        try:
            return ids.decode(self.prefix, str(data))
        except ValueError as reason:
            self.fail("invalid", reason=str(reason))
            raise  # `fail` always raises; this line is for the type checker


class TypeIDSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document how a TypeID of this kind looks."""

    target_class = "arm.api.TypeIDField"

    def map_serializer_field(self, auto_schema: object, direction: str) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.target.prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"}


class Page(CursorPagination):
    """Newest first by key (UUIDv7 sorts by time); `?page_size=` up to 200."""

    ordering = "-pk"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def paginate_queryset(
        self, queryset: Any, request: request.Request, view: Any = None
    ) -> list[Any] | None:
        return super().paginate_queryset(ByKeys(queryset), request, view=view)  # type: ignore[arg-type]

    def get_page_size(self, request: request.Request) -> int | None:
        asked = request.query_params.get("page_size", "")
        if asked and not (re.fullmatch(r"[1-9][0-9]{0,2}", asked) and int(asked) <= self.max_page_size):
            message = f"Must be a whole number from 1 to {self.max_page_size}."
            raise serializers.ValidationError({"page_size": serializers.ErrorDetail(message, code="invalid")})
        return super().get_page_size(request)

    def decode_cursor(self, request: request.Request) -> Cursor | None:
        """NotFound for whatever this API did not give. DRF passes over letters that are not base 64: a damaged cursor would be
        the first page, again and again."""
        cursor: Cursor | None = super().decode_cursor(request)
        if cursor is not None and request.query_params["cursor"]:
            try:
                b64decode(request.query_params["cursor"], validate=True)
            except ValueError:
                raise exceptions.NotFound(self.invalid_cursor_message) from None
            if cursor == Cursor(offset=0, reverse=False, position=None):
                raise exceptions.NotFound(self.invalid_cursor_message)
        if cursor is not None and cursor.position is not None:
            try:
                UUID(str(cursor.position))
            except ValueError:
                raise exceptions.NotFound(self.invalid_cursor_message) from None
        return cursor


OF_EVERY_LIST = frozenset({"cursor", "page_size", "format"})


def refuse_unknown(request: request.Request, known: Collection[str]) -> None:
    """Invalid, naming each parameter that the question does not have: a misspelt one would ask something else."""
    if unknown := sorted(set(request.query_params).difference(known)):
        message = "There is no such filter."
        wrong = [Problem(pointer=f"/{name}", code="unknown", message=message) for name in unknown]
        raise Invalid("The question has wrong members.", wrong)


class ScopedViewSet(Endpoint, viewsets.ReadOnlyModelViewSet[M]):
    """Reads show only what the caller may view; writes are @actions that call one service.

    `prefix` is the TypeID prefix that the detail URL takes.
    """

    view_right: Right
    prefix: str
    lookup_url_kwarg = "id"
    lookup_value_regex = r"[a-z]{2,4}_[0-9a-z]{26}|[0-9a-fA-F-]{36}"
    pagination_class = Page
    matched = False

    def get_queryset(self) -> QuerySet[M]:
        return visible(super().get_queryset(), self.request.user, self.view_right)

    def filter_queryset(self, queryset: Any) -> Any:
        """A misspelt filter would show everything as if it had been asked for: 422 names it."""
        kind = getattr(self, "filterset_class", None)
        if self.action == "list":
            refuse_unknown(self.request, OF_EVERY_LIST.union(kind.base_filters if kind is not None else ()))
        return super().filter_queryset(queryset)

    def get_object(self) -> M:
        try:
            pk = ids.decode(self.prefix, self.kwargs["id"])
        except ValueError:
            raise Http404 from None
        found: M | None = self.filter_queryset(self.get_queryset()).filter(pk=pk).first()
        if found is None:
            raise Http404
        if not self.matched and self.request.method not in SAFE and "If-Match" in self.request.headers:
            self.matched = True  # once: an action that loads the row again shows what it made of it
            self.hold(found)
            found = self.get_queryset().get(pk=pk)  # as it is now that nobody else changes it
            must_match(self.request, found, self.etags(found))
        return found

    def hold(self, found: M) -> None:
        """Before `If-Match` is compared: nobody changes the row until this transaction ends. Where an act takes other
        rows before this one, it does so here, too."""
        hold(found)

    def require_still_seen(self) -> None:
        """Http404 where the row that the address names is no longer the caller's to see. One that is no more was."""
        try:
            pk = ids.decode(self.prefix, self.kwargs["id"]) if "id" in self.kwargs else None
        except ValueError:
            return
        rows = self.get_queryset()
        there = pk is not None and rows.model._base_manager.filter(pk=pk).exists()
        if there and not rows.filter(pk=pk).exists():
            raise Http404

    def etags(self, found: M) -> list[str]:
        """What `If-Match` may name: the ETag of the row as GET shows it."""
        return [etag_of(self.get_serializer(found).data)]

    def finalize_response(  # type: ignore[override]  # an answer need not be DRF's
        self, request: request.Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        final = super().finalize_response(request, response, *args, **kwargs)
        whole = isinstance(final, Response) and final.status_code == 200
        if whole and self.action in {"retrieve", "partial_update"}:
            final.headers.setdefault("ETag", etag_of(final.data))  # type: ignore[attr-defined]
        read = request.method in SAFE and "ETag" in final.headers
        return not_modified(request, final) if read else final


def document_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """For the OpenAPI document: whatever is refused, anywhere, is refused as a problem document."""
    result["components"].setdefault("schemas", {})["Problem"] = {
        "type": "object",
        "description": "RFC 9457. `errors` names every wrong member; other members belong to their `code`.",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
            "request_id": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["pointer", "code", "message"],
                    "properties": {name: {"type": "string"} for name in ("pointer", "code", "message")},
                },
            },
        },
    }
    refused = {
        "description": "Refused, and why.",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path in result["paths"].values():
        for operation in path.values():
            operation["responses"].setdefault("default", refused)
    return result


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """The 404 of URLs that no route knows, for callers of the API."""
    body = (
        f'{{"type":"about:blank","title":"Not Found","status":404,"code":"not_found",'
        f'"detail":"There is nothing at this address.","request_id":"{logs.request_id.get()}"}}'
    )
    return HttpResponse(body, status=404, content_type=PROBLEM)
