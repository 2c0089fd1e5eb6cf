"""The way in: a signed assertion, once, for an opaque token of ten minutes."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from arm import clock, crypto

from ..models import AccessToken, Assertion, ProviderClient
from ..protocol.assertions import checked
from ..protocol.refusals import Refused, bad_assertion

TOKEN_LIFE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Issued:
    token: str
    seconds: int
    scope: str


@transaction.atomic
def issue_token(*, client: ProviderClient, assertion: str, audiences: frozenset[str], scope: str) -> Issued:
    """A token for as much of `scope` as the client registered ('' asks for all of it). Refused names the failed check."""
    now = clock.now()
    jti, ends = checked(assertion, client.auth_jwk, client_id=client.typeid, audiences=audiences, now=now)
    if client.status != ProviderClient.Status.REGISTERED:
        raise bad_assertion("client-not-approved", f"This client is {client.get_status_display().lower()}.")
    _, fresh = Assertion.objects.get_or_create(
        client=client, jti=jti, defaults={"tenant_id": client.tenant_id, "ends_at": ends}
    )
    if not fresh:
        raise bad_assertion("assertion-replayed", "This assertion has been used.")
    held = client.scope.split()
    wanted = [name for name in held if not scope or name in scope.split()]
    if not wanted:
        raise Refused(
            "invalid-scope", 400, f"This client may ask for: {client.scope}.", error="invalid_scope"
        )
    token = crypto.new_token("a")
    AccessToken.objects.create(
        tenant_id=client.tenant_id,
        client=client,
        digest=crypto.token_digest(token),
        scope=" ".join(wanted),
        issued_at=now,
        expires_at=now + TOKEN_LIFE,
    )
    return Issued(token, int(TOKEN_LIFE.total_seconds()), " ".join(wanted))
