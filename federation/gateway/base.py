"""What the protocol's endpoints share: who asks, which session writes, how bodies are read, what is recorded."""

import zlib
from typing import Any

from django.conf import settings
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from arm import changes, crypto, ids
from arm import services as core
from arm.errors import NotFound, TooLarge
from arm.models import SecurityEvent, Tenant

from .. import services
from ..models import AdapterSession, ProviderClient
from ..protocol import reading
from ..protocol.refusals import Refused, stale_session
from ..queries.credentials import token_by_digest

SESSION = "ARM-Session"


class Adapter:
    """Who speaks with an access token: the client of a provider, with the scopes of the token."""

    is_authenticated = is_active = True

    def __init__(self, client: ProviderClient, scope: str) -> None:
        self.client, self.scopes = client, frozenset(scope.split())


class AccessTokens(BaseAuthentication):
    """`Authorization: Bearer arma_…`. A person's session opens nothing here."""

    def authenticate(self, request: Request) -> tuple[Adapter, None]:
        token = bearer(request, "arma_")
        try:
            found = token_by_digest(crypto.token_digest(token))
        except ValueError as problem:
            raise exceptions.AuthenticationFailed(str(problem)) from problem
        if found is None or not found.live or found.client.status != ProviderClient.Status.REGISTERED:
            raise exceptions.AuthenticationFailed("This token is unknown, expired or revoked.")
        changes.credential.set(found.client.typeid)
        return Adapter(found.client, found.scope), None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="arm"'


class Bytes(BaseParser):
    """The body as it came, unpacked where it is gzip, and never more of it than is taken anywhere."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> bytes:  # type: ignore[override]
        data: bytes = stream.read(reading.PAGE_BYTES + 1)
        encoding = parser_context["request"].headers.get("Content-Encoding", "") if parser_context else ""
        if encoding.lower() != "gzip":
            return data
        unpacker = zlib.decompressobj(wbits=31)
        try:
            plain = unpacker.decompress(data, reading.PAGE_BYTES + 1)
        except zlib.error as problem:
            raise Refused("malformed", 400, "The body is not gzip.") from problem
        if unpacker.unconsumed_tail:
            raise TooLarge(f"Unpacked it has more than {reading.PAGE_BYTES} bytes.")
        return plain


class ProtocolView(APIView):
    """One address of the protocol. `scope` is what the token must hold; a refusal that is `recorded` leaves a line in
    the tenant's security log, outside of what was undone."""

    schema = None  # it has documents and schemas of its own: docs/federation-protocol.md
    authentication_classes = [AccessTokens]
    parser_classes = [Bytes]
    scope = "federation:control"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if isinstance(request.user, Adapter) and self.scope not in request.user.scopes:
            raise Refused("insufficient-scope", 403, f"The token lacks the scope {self.scope}.")

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, Refused) and exc.recorded:
            self.record(exc)
        return super().handle_exception(exc)

    def record(self, refusal: Refused) -> None:
        record(self.known_client(), refusal.code, refusal.message)

    def known_client(self) -> ProviderClient | None:
        """Whom a refusal is about, where that is known."""
        user = getattr(self.request, "user", None) if hasattr(self, "request") else None
        return user.client if isinstance(user, Adapter) else None


def record(client: ProviderClient | None, code: str, said: str, **detail: Any) -> None:
    """A line of the security log of the client's tenant. Without a client there is no tenant whose log it would be."""
    if client is None:
        return
    facts = {"code": code, "said": said, "client": client.typeid, **detail}
    core.note_security(
        SecurityEvent.Kind.REFUSED,
        f"federation {code}: {client.name}",
        tenant=Tenant.objects.get(pk=client.tenant_id),
        detail=facts,
    )


def bearer(request: Request, kind: str) -> str:
    """The bearer token of this kind. 403 for a browser that is signed in: this is no place for it."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip().startswith(kind):
        return token.strip()
    if settings.SESSION_COOKIE_NAME in request.COOKIES:
        raise exceptions.PermissionDenied("This address is for providers' adapters, not for people.")
    raise exceptions.NotAuthenticated(f"Use `Authorization: Bearer {kind}…`.")


def issuer_of(request: Request) -> str:
    """How this installation is known to who asks: ARM_ISSUER, or the address that was asked."""
    return settings.ISSUER or request.build_absolute_uri("/").rstrip("/")


def body(request: Request, name: str, most: int = reading.CONTROL_BYTES) -> dict[str, Any]:
    return reading.read(raw(request), name, most)


def raw(request: Request) -> bytes:
    """The bytes of the body, unpacked."""
    data = request.data
    return data if isinstance(data, bytes) else b""


def client_of(request: Request) -> ProviderClient:
    """Whom the token was issued to."""
    speaker: Any = request.user
    client: ProviderClient = speaker.client
    return client


def session_of(request: Request) -> AdapterSession:
    """The session that the header names, if it is still the one that writes."""
    named = request.headers.get(SESSION, "")
    if not named:
        raise stale_session(f"Name your session in the header {SESSION}; make a handshake first.")
    try:
        pk = ids.decode(AdapterSession.prefix, named)
    except ValueError as problem:
        raise NotFound(str(problem)) from problem
    client = client_of(request)
    session = services.current_session(client, pk)
    session.client = client
    return session


def envelope(request: Request) -> bytes:
    """The body as it is to be kept. TooLarge."""
    data = raw(request)
    if len(data) > reading.CONTROL_BYTES:
        raise TooLarge(f"At most {reading.CONTROL_BYTES} bytes are taken here.")
    return data
