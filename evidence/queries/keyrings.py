"""Public keys out of the database: as verifiers take them, and as they are published."""

from typing import Any

from django.db.models import QuerySet

from arm import ids

from ..models import SigningKey
from ..signing.certificates import der
from ..signing.checking import Keyring
from ..signing.keys import PublicKey, from_jwk


def keyring_of(keys: QuerySet[SigningKey]) -> Keyring:
    """These keys, by purpose and key id."""
    found: dict[str, dict[str, PublicKey]] = {}
    certificates = {}
    for key in keys:
        found.setdefault(key.purpose, {})[key.kid] = from_jwk(key.jwk)
        if key.certificate:
            certificates[key.kid] = der(key.certificate)
    return Keyring(found, certificates)


def a2a_keys(keys: QuerySet[SigningKey]) -> dict[str, Any]:
    """The JSON Web Key Set (RFC 7517) that A2A agent cards name: the keys that sign them, retired ones too."""
    found = keys.filter(purpose=SigningKey.Purpose.AGENT_CARD).order_by("pk")
    return {"keys": [{**key.jwk, "kid": key.kid, "alg": "ES256", "use": "sig"} for key in found]}


def published(keys: QuerySet[SigningKey]) -> dict[str, Any]:
    """The document of `/.well-known/arm-keys.json`: each key with what it signs and when it was valid. Tenants are
    named by their identifiers only."""
    return {
        "keys": [
            {
                "kid": key.kid,
                "jwk": key.jwk,
                "purpose": key.purpose,
                "tenant": ids.encode("ten", key.tenant_id),
                "status": "active" if key.retired_at is None else "retired",
                "not_before": key.not_before.isoformat(),
                "not_after": key.retired_at.isoformat() if key.retired_at else None,
            }
            | ({"certificate": key.certificate} if key.certificate else {})
            for key in keys.order_by("pk")
        ]
    }
