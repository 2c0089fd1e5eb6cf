"""Before there is a token: discovery, ARM's public keys, registration by invitation, and the token endpoint."""

from urllib.parse import parse_qsl

from rest_framework import exceptions
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from arm import crypto, db, ids
from arm import services as core
from arm.errors import Invalid
from arm.models import SecurityEvent, Tenant

from .. import services
from ..models import ControlKey, Invite, ProviderClient
from ..protocol import VERSION, reading
from ..protocol.assertions import claims_of
from ..protocol.metadata import CAPABILITIES, SCOPES, invalid_metadata
from ..protocol.refusals import Refused, bad_assertion
from ..queries.credentials import client_by_id, invite_by_digest
from .base import ProtocolView, bearer, body, issuer_of, raw

KEPT = {"Cache-Control": "public, max-age=300"}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST = 10_000
ALGORITHMS = ["ES256", "EdDSA", "Ed25519"]


class Public(ProtocolView):
    """Read by anybody, and kept for five minutes."""

    authentication_classes = []
    permission_classes = [AllowAny]


class Discovery(Public):
    """Where everything is, and what this server can do."""

    def get(self, request: Request) -> Response:
        base = issuer_of(request)
        v1 = f"{base}/federation/v1"
        return Response(
            {
                "issuer": base,
                "protocol_versions": [VERSION],
                "token_endpoint": f"{base}/oauth/token",
                "registration_endpoint": f"{v1}/register",
                "session_endpoint": f"{v1}/sessions",
                "poll_endpoint": f"{v1}/poll",
                "desired_endpoint": f"{v1}/desired",
                "inventory_endpoint": f"{v1}/inventory/snapshots",
                "command_endpoint": f"{v1}/commands",
                "attestation_endpoint": f"{v1}/attestations",
                "otlp_endpoint": f"{base}/otlp/v1/traces",
                "jwks_uri": f"{base}/.well-known/jwks.json",
                "capabilities": list(CAPABILITIES),
                "limits": {
                    "control_bytes": reading.CONTROL_BYTES,
                    "page_bytes": reading.PAGE_BYTES,
                    "page_max": 500,
                    "max_events": services.MOST_EVENTS,
                },
            },
            headers=KEPT,
        )


class AuthorizationServer(Public):
    """RFC 8414."""

    def get(self, request: Request) -> Response:
        base = issuer_of(request)
        return Response(
            {
                "issuer": base,
                "token_endpoint": f"{base}/oauth/token",
                "registration_endpoint": f"{base}/federation/v1/register",
                "jwks_uri": f"{base}/.well-known/jwks.json",
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": [],
                "scopes_supported": list(SCOPES),
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
            },
            headers=KEPT,
        )


class Keys(Public):
    """The public keys that control messages are signed with, of all tenants; retired ones stay for a while."""

    def get(self, request: Request) -> Response:
        with db.tenants(db.all_tenants()):
            rows = list(ControlKey.objects.order_by("pk"))
        keys = [{**row.jwk, "kid": row.kid, "use": "sig", "alg": "ES256"} for row in rows]
        return Response({"keys": keys}, headers=KEPT)


class Register(ProtocolView):
    """RFC 7591, for the holder of an invitation."""

    authentication_classes = []
    permission_classes = [AllowAny]
    invite: Invite | None = None

    def post(self, request: Request) -> Response:
        token = bearer(request, "armr_")
        try:
            invite = invite_by_digest(crypto.token_digest(token))
        except ValueError as problem:
            raise _unknown(str(problem)) from problem
        if invite is None:
            raise _unknown("This registration token is unknown.")
        self.invite = invite
        try:
            said = body(request, "register")
        except Invalid as problem:
            raise invalid_metadata(problem.errors) from problem
        client = services.register_client(invite=invite, metadata=said)
        answer = {
            "client_id": client.typeid,
            "client_name": client.name,
            "status": client.status,
            "scope": client.scope,
            "token_endpoint_auth_method": "private_key_jwt",
            "provider": client.provider.typeid,
            "key_thumbprints": {"auth": client.auth_kid, "attest": client.attest_kid},
        }
        return Response(answer, status=201, headers={"Cache-Control": "no-store"})

    def record(self, refusal: Refused) -> None:
        """There may be no client yet, but whose invitation it is, is known."""
        invite = self.invite
        if invite is not None:
            core.note_security(
                SecurityEvent.Kind.REFUSED,
                f"federation {refusal.code}: {invite}",
                tenant=Tenant.objects.get(pk=invite.tenant_id),
                detail={"code": refusal.code, "said": refusal.message, "invite": invite.typeid},
            )

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="arm"'


class Token(ProtocolView):
    """RFC 6749 client_credentials with RFC 7523 private_key_jwt."""

    authentication_classes = []
    permission_classes = [AllowAny]
    about: ProviderClient | None = None

    def post(self, request: Request) -> Response:
        said = _form(raw(request))
        assertion = said.get("client_assertion", "")
        if said.get("client_assertion_type") != ASSERTION or not 0 < len(assertion) <= LONGEST:
            raise bad_assertion("assertion-missing", f"Send a client_assertion of the type {ASSERTION}.")
        if said.get("grant_type") != "client_credentials":
            raise Refused(
                "unsupported-grant",
                400,
                "Only client_credentials is granted.",
                error="unsupported_grant_type",
            )
        client = _named(claims_of(assertion).get("iss"))
        if client is None:
            raise bad_assertion("client-unknown", "No such client is registered here.")
        self.about = client
        base = issuer_of(request)
        issued = services.issue_token(
            client=client,
            assertion=assertion,
            audiences=frozenset({base, f"{base}/oauth/token"}),
            scope=said.get("scope", ""),
        )
        answer = {
            "access_token": issued.token,
            "token_type": "Bearer",
            "expires_in": issued.seconds,
            "scope": issued.scope,
        }
        return Response(answer, headers={"Cache-Control": "no-store"})

    def known_client(self) -> ProviderClient | None:
        return self.about

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="arm"'


def _form(data: bytes) -> dict[str, str]:
    """application/x-www-form-urlencoded, each member once; {} for what is nothing of the kind."""
    try:
        pairs = parse_qsl(data.decode(), max_num_fields=20)
    except ValueError:
        return {}
    return dict(pairs) if len(dict(pairs)) == len(pairs) else {}


def _named(issuer: object) -> ProviderClient | None:
    try:
        return client_by_id(ids.decode(ProviderClient.prefix, str(issuer)))
    except ValueError:
        return None


def _unknown(said: str) -> exceptions.AuthenticationFailed:
    return exceptions.AuthenticationFailed(said)
