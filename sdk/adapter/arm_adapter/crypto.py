"""The adapter's two keys, what they sign, and how ARM's messages are verified."""

import base64
import hashlib
import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

IN_TOTO = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
ENFORCEMENT = "https://arm.example/attestation/enforcement/v1"
SET_TYPE = "secevent+jwt"


class NotGenuine(ValueError):
    """A message that is not to be believed; `err` is the code of RFC 8936 (and ours) that says why."""

    def __init__(self, err: str, message: str) -> None:
        super().__init__(message)
        self.err = err


def canonical(value: Any) -> bytes:
    """RFC 8785 for what a desired document holds: objects, texts, whole numbers, booleans."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Keys:
    """`auth` (P-256) signs the way in, `attest` (Ed25519) signs what was done. Made once, readable by us alone."""

    def __init__(self, state: Path) -> None:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        auth = _kept(state / "auth.pem", lambda: generate_private_key(SECP256R1()))
        attest = _kept(state / "attest.pem", Ed25519PrivateKey.generate)
        if not isinstance(auth, EllipticCurvePrivateKey) or not isinstance(attest, Ed25519PrivateKey):
            raise TypeError(f"The keys in {state} are of other kinds than the adapter's.")
        self.auth, self.attest = auth, attest

    def public(self) -> list[dict[str, str]]:
        """The public halves, as the registration wants them."""
        return [
            {**jwk, "kid": thumbprint(jwk), "use": "sig", "arm_duty": duty}
            for duty, jwk in (("auth", self.auth_jwk), ("attest", self.attest_jwk))
        ]

    @property
    def auth_jwk(self) -> dict[str, str]:
        point = self.auth.public_key().public_numbers()
        x, y = (_url(number.to_bytes(32, "big")) for number in (point.x, point.y))
        return {"crv": "P-256", "kty": "EC", "x": x, "y": y}

    @property
    def attest_jwk(self) -> dict[str, str]:
        return {"crv": "Ed25519", "kty": "OKP", "x": _url(self.attest.public_key().public_bytes_raw())}

    def assertion(self, client_id: str, audience: str) -> str:
        """A client assertion (RFC 7523) for two minutes and for one use."""
        now = int(time.time())
        claims = {"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + 120}
        key = ECKey.import_key(self.auth.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return jwt.encode({"alg": "ES256"}, claims | {"jti": uuid.uuid4().hex}, key)

    def attestation(self, subject: str, sha256: str, predicate: dict[str, Any]) -> bytes:
        """The DSSE envelope of an in-toto statement about one desired document."""
        payload = canonical(
            {
                "_type": STATEMENT,
                "subject": [{"name": subject, "digest": {"sha256": sha256}}],
                "predicateType": ENFORCEMENT,
                "predicate": predicate,
            }
        )
        signed = self.attest.sign(
            b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
        )
        return canonical(
            {
                "payloadType": IN_TOTO,
                "payload": base64.b64encode(payload).decode(),
                "signatures": [
                    {"keyid": thumbprint(self.attest_jwk), "sig": base64.b64encode(signed).decode()}
                ],
            }
        )


def thumbprint(jwk: dict[str, str]) -> str:
    """RFC 7638."""
    return _url(hashlib.sha256(canonical(jwk)).digest())


def kid_of(token: str) -> str:
    """Which key the message names. NotGenuine where it is no security event."""
    try:
        head = jws.extract_compact(token.encode()).protected
    except (JoseError, ValueError) as problem:
        raise NotGenuine("invalid_request", "It is no JWS.") from problem
    if head.get("typ") != SET_TYPE:
        raise NotGenuine("invalid_request", f"Its typ is not {SET_TYPE}.")
    if head.get("alg") != "ES256":
        raise NotGenuine("invalid_key", "It is not signed with ES256.")
    return str(head.get("kid", ""))


def verified(token: str, key: dict[str, Any], *, issuer: str, audience: str) -> dict[str, Any]:
    """The claims of a security event that this key has signed for us. NotGenuine."""
    registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    try:
        read = jws.deserialize_compact(token, ECKey.import_key(key), registry=registry)
        claims = json.loads(read.payload)
    except (JoseError, ValueError) as problem:
        raise NotGenuine("authentication_failed", "The signature does not fit.") from problem
    if claims.get("iss") != issuer:
        raise NotGenuine("invalid_issuer", f"It is of {claims.get('iss')}, not of {issuer}.")
    if claims.get("aud") != audience:
        raise NotGenuine("invalid_audience", f"It is for {claims.get('aud')}, not for {audience}.")
    said: dict[str, Any] = claims
    return said


def _kept(file: Path, make: Any) -> Any:
    if not file.exists():
        pem = make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as opened:
            opened.write(pem)
    return load_pem_private_key(file.read_bytes(), password=None)


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
