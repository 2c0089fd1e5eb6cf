"""How the API knows who asks: a bearer token of ours, or the console's session."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from arm import changes, clock, crypto, db
from arm.models import ApiKey, User
from arm.queries import acts, key_by_digest

UNKNOWN = "This token is unknown, expired, revoked, or acts as nobody who works here."


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer arms_…` or `armp_…`: the account that the key acts as, in the key's tenant only."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("Use `Authorization: Bearer <token>`.")
        try:
            digest = crypto.token_digest(token.strip())
        except ValueError as problem:
            raise AuthenticationFailed(str(problem)) from problem
        key = key_by_digest(digest)
        if key is None or not key.live:
            raise AuthenticationFailed(UNKNOWN)
        db.set_tenants([key.tenant_id])
        if key.user is None or not acts(key):
            raise AuthenticationFailed(UNKNOWN)
        changes.credential.set(key.typeid)
        request._request.tenant = key.tenant  # type: ignore[attr-defined]
        if key.last_used_at is None or (clock.now() - key.last_used_at).total_seconds() > 60:
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=clock.now())
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="arm"'


class Session(SessionAuthentication):
    """The console's session; writes need the CSRF token as everywhere."""

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="arm"'


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document about bearer tokens."""

    target_class = "arm.authentication.KeyAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "arms_… or armp_…"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "arm.authentication.Session"
    name = "session"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "arm_session"}
