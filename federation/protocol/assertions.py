"""Compact JWTs: client assertions (RFC 7523) that providers sign, and security events that ARM signs."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from evidence.signing.keys import BadSignature, PrivateKey, check, from_jwk

from .documents import SET_TYPE
from .reading import writable
from .refusals import bad_assertion

ALGORITHMS = {"OKP": ("EdDSA", "Ed25519"), "EC": ("ES256",)}
"""What a key of this type may sign with: never what the token alone says."""
MAX_LIFE = timedelta(minutes=5)
SKEW = timedelta(seconds=60)
REGISTRY = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)


def claims_of(token: str) -> dict[str, Any]:
    """What the token says, not verified: to find out whose key to try."""
    try:
        said = json.loads(jws.extract_compact(token.encode()).payload)
    except (JoseError, ValueError, RecursionError) as problem:
        raise bad_assertion("assertion-malformed", "The assertion is no JWT.") from problem
    if not isinstance(said, dict):
        raise bad_assertion("assertion-malformed", "The claims of the assertion are no object.")
    if not writable(said):
        raise bad_assertion("assertion-malformed", "A claim holds NUL or half a surrogate pair.")
    return said


def checked(
    token: str, key: Mapping[str, str], *, client_id: str, audiences: frozenset[str], now: datetime
) -> tuple[str, datetime]:
    """The `jti` of an assertion that this client signed for us, and when it ends. Refused with the check that failed."""
    said = claims_of(token)
    _verify(token, key)
    if said.get("iss") != client_id or said.get("sub") != client_id:
        raise bad_assertion("assertion-subject", "`iss` and `sub` must both be the client's identifier.")
    aud = said.get("aud")
    if not audiences & set(aud if isinstance(aud, list) else [aud] if isinstance(aud, str) else []):
        raise bad_assertion(
            "assertion-audience", f"The assertion is not for {' or '.join(sorted(audiences))}."
        )
    issued, ends = _time(said, "iat"), _time(said, "exp")
    if ends <= now - SKEW:
        raise bad_assertion("assertion-expired", "The assertion has expired.")
    if ends - issued > MAX_LIFE or ends > now + MAX_LIFE + SKEW:
        raise bad_assertion("assertion-lifetime", "An assertion lives for at most five minutes.")
    if issued > now + SKEW:
        raise bad_assertion("assertion-not-yet", "The assertion was issued in the future; check the clock.")
    jti = said.get("jti")
    if not isinstance(jti, str) or not 8 <= len(jti) <= 200:
        raise bad_assertion("assertion-jti", "The assertion needs a `jti` of 8 to 200 characters.")
    return jti, ends + SKEW


def signed_event(claims: Mapping[str, Any], *, key: PrivateKey, kid: str) -> str:
    """The claims as a compact JWS of the control key (ES256)."""
    header = {"alg": "ES256", "typ": SET_TYPE, "kid": kid}
    payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode()
    return jws.serialize_compact(header, payload, ECKey.import_key(_pem(key)), registry=REGISTRY)


def _verify(token: str, key: Mapping[str, str]) -> None:
    try:
        head = jws.extract_compact(token.encode()).protected
        if head.get("alg") not in ALGORITHMS[key["kty"]] or "crit" in head:
            raise BadSignature("The header asks for what is not done here.")
        if key["kty"] == "OKP":  # joserfc warns of the name EdDSA, which most libraries still write
            signed, _, signature = token.rpartition(".")
            check(from_jwk(key), urlsafe_b64decode(signature + "=" * (-len(signature) % 4)), signed.encode())
        else:
            jws.deserialize_compact(token, ECKey.import_key(dict(key)), registry=REGISTRY)
    except (JoseError, ValueError) as problem:
        raise bad_assertion(
            "assertion-signature", "The assertion is not signed by the client's auth key."
        ) from problem


def _time(said: Mapping[str, Any], name: str) -> datetime:
    value = said.get(name)
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
    try:
        return datetime.fromtimestamp(number, tz=UTC)
    except (ValueError, OverflowError, OSError) as problem:
        raise bad_assertion("assertion-malformed", f"The assertion needs a time as `{name}`.") from problem


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
