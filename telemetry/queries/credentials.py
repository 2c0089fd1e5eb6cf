"""Who sends: what an ingest key or a workload token may speak for, remembered for half a second."""

import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from arm import clock, crypto, db
from arm.errors import Unauthenticated
from arm.models import ApiKey
from arm.queries import key_by_digest
from registry.models import KeyScope

REMEMBER_SECONDS = 0.5
"""A revoked key is refused at most this much later."""
REMEMBERED = 10_000
USED_EVERY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Credential:
    """The reach of a key. `instance_id` is set where it may speak for that one instance only."""

    key_id: UUID
    tenant_id: UUID
    tenant_slug: str
    environment_id: UUID
    provider_id: UUID
    provider_slug: str
    instance_id: UUID | None
    retention_days: int
    expires_at: datetime | None


_remembered: dict[bytes, tuple[float, Credential | None]] = {}


def credential_of(authorization: str) -> Credential:
    """What the bearer of this `Authorization` header may send. Unauthenticated, with the reason, otherwise."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("Send `Authorization: Bearer armi_…` (an ingest key) or a workload token.")
    try:
        digest = crypto.token_digest(token.strip())
    except ValueError as problem:
        raise Unauthenticated(str(problem)) from problem
    now = time.monotonic()
    until, found = _remembered.get(digest, (0.0, None))
    if until < now:
        found = _look_up(digest)
        if len(_remembered) >= REMEMBERED:
            _remembered.clear()
        _remembered[digest] = now + REMEMBER_SECONDS, found
    if found is None or (found.expires_at is not None and found.expires_at <= clock.now()):
        raise Unauthenticated("This key is unknown, expired, revoked, or not one for sending telemetry.")
    return found


def _look_up(digest: bytes) -> Credential | None:
    key = key_by_digest(digest)
    if key is None or not key.live or key.kind not in (ApiKey.Kind.INGEST, ApiKey.Kind.WORKLOAD):
        return None
    with db.tenants([key.tenant_id]):
        scopes = KeyScope.objects.select_related(
            "environment", "provider", "instance__environment", "instance__provider"
        )
        scope = scopes.filter(key=key).first()
        if scope is None:
            return None
        place, sender = scope.environment, scope.provider
        if scope.instance is not None:
            place, sender = scope.instance.environment, scope.instance.provider
        if place is None or sender is None:
            return None
        if key.last_used_at is None or (clock.now() - key.last_used_at).total_seconds() > USED_EVERY_SECONDS:
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=clock.now())
        return Credential(
            key.pk,
            key.tenant_id,
            key.tenant.slug,
            place.pk,
            sender.pk,
            sender.slug,
            scope.instance_id,
            place.retention_days,
            key.expires_at,
        )


def forget() -> None:
    """Drop what is remembered (tests)."""
    _remembered.clear()
