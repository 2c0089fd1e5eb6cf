"""What the directory's endpoints share: strict bodies, answers that show what is there already, workload tokens."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions, parsers, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer

from arm import changes, crypto, db
from arm.api import Request as SignedIn
from arm.api import ScopedViewSet, flatten
from arm.errors import Invalid, Problem
from arm.models import ApiKey, User
from arm.permissions import visible
from arm.queries import key_by_digest
from arm.rights import Right
from registry import genome, services
from registry.api.serializers import represent
from registry.genome.reading import MAX_BYTES
from registry.models import AgentInstance, KeyScope

M = TypeVar("M", bound=Model)


class StrictJSON(parsers.JSONParser):
    """I-JSON: a repeated member, NaN or a number beyond 2^53-1 is refused with its pointer, not guessed at."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return genome.read(stream.read(MAX_BYTES + 1), media_type="application/json").document


class Bytes(parsers.BaseParser):
    """A document as it was sent, at most one byte more than will be read."""

    media_type = "*/*"

    def parse(  # type: ignore[override]
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return stream.read(MAX_BYTES + 1)


class ShowsExisting:
    """A duplicate is answered 409 with the object that is there."""

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, services.Duplicate):
            exc.extra["existing"] = represent(exc.existing)
        response: Response = super().handle_exception(exc)  # type: ignore[misc]
        return response


class DirectoryViewSet(ShowsExisting, ScopedViewSet[M]):
    """Rows of the directory: read by whoever may read it, written by @actions and `create`, one service call each."""

    view_right = Right.READ_DIRECTORY
    parser_classes = [StrictJSON]


def created(data: BaseSerializer[Any]) -> Response:
    """201 with the representation, and where to find it."""
    body: Any = data.data
    return Response(body, status=status.HTTP_201_CREATED, headers={"Location": body["url"]})


def named(rows: QuerySet[Any], pointer: str, actor: User, **by: Any) -> Any:
    """The one row that a request names and the caller may see; Invalid with the pointer where there is none."""
    row = visible(rows.filter(**by), actor, Right.READ_DIRECTORY).first()
    if row is None:
        problem = unknown(pointer)
        raise Invalid(problem["message"], [problem])
    return row


def unknown(pointer: str) -> Problem:
    """What is told of a row that is not there and of one that is not the caller's to see: the same."""
    return Problem(
        pointer=pointer, code="unknown", message="There is no such row, or it is not yours to use."
    )


def with_rows(
    serializer: type[Serializer[Any]],
    request: SignedIn,
    rows: Mapping[str, tuple[type[Model], str]],
    judge: Callable[..., Sequence[Problem]],
) -> dict[str, Any]:
    """The body with the rows that its members name: member → model and the column that it says. Invalid with all that is
    wrong at once: how members are written, which rows there are not, and what `judge` says of those that were read."""
    body = serializer(data=request.data)
    problems = [] if body.is_valid() else flatten(body.errors)
    read = _readable(body, request.data) if problems else dict(body.validated_data)
    for name, (model, column) in rows.items():
        if name not in read:
            continue
        try:
            read[name] = named(model._default_manager.all(), f"/{name}", request.user, **{column: read[name]})
        except Invalid as refused:
            problems += refused.errors
            del read[name]
    if problems:
        raise Invalid("The request has wrong members.", [*problems, *judge(**read)])
    return read


def _readable(body: Serializer[Any], said: Any) -> dict[str, Any]:
    """The members of a wrong body that are right in themselves."""
    read = {}
    for name, field in body.fields.items() if isinstance(said, Mapping) else ():
        if name in said:
            with suppress(exceptions.ValidationError):
                read[name] = field.run_validation(said[name])
    return read


@dataclass(frozen=True, slots=True)
class Workload:
    """Who speaks with a workload token: one instance, and nobody else."""

    instance: AgentInstance
    is_authenticated: bool = True
    is_active: bool = True


class WorkloadToken(BaseAuthentication):
    """`Authorization: Bearer armw_…`: the instance that the token was issued for."""

    def authenticate(self, request: Request) -> tuple[Workload, ApiKey] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip().startswith("armw_"):
            raise exceptions.NotAuthenticated(
                "Use `Authorization: Bearer armw_…`, the token of the instance."
            )
        try:
            key = key_by_digest(crypto.token_digest(token.strip()))
        except ValueError as problem:
            raise exceptions.AuthenticationFailed(str(problem)) from problem
        if key is None or not key.live:
            raise exceptions.AuthenticationFailed("This token is unknown, expired or revoked.")
        db.set_tenants([key.tenant_id])
        scopes = KeyScope.objects.select_related("instance__provider", "instance__status")
        scope = scopes.filter(key=key).first()
        if scope is None or scope.instance is None:
            raise exceptions.AuthenticationFailed("This token speaks for no instance.")
        changes.credential.set(key.typeid)
        return Workload(scope.instance), key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="arm"'


class WorkloadScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document about workload tokens."""

    target_class = "registry.api.base.WorkloadToken"
    name = "workload"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "armw_…"}
