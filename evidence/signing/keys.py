"""Keys: their ids, their public form, and private ones sealed with the key-encryption key of the signer.

Two kinds: Ed25519 for statements and checkpoints, ECDSA on P-256 with SHA-256 (ES256) where other people's readers know
nothing else: PDF viewers, A2A clients, receivers of security events.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from arm.crypto import canonical

NONCE_BYTES = 12
COORDINATE_BYTES = 32

PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey
PublicKey = Ed25519PublicKey | EllipticCurvePublicKey


class CannotUnseal(ValueError):
    """The key-encryption key is another one, or what was sealed has been changed or moved."""


class BadSignature(ValueError):
    """The signature is not this key's over these bytes."""


class BadKey(ValueError):
    """The JSON Web Key is none of a kind that is used here."""


def generate(kind: str) -> PrivateKey:
    """A fresh key: `Ed25519` or `P-256`."""
    return Ed25519PrivateKey.generate() if kind == "Ed25519" else generate_private_key(SECP256R1())


def make_signature(key: PrivateKey, data: bytes) -> bytes:
    """Ed25519: 64 bytes. P-256: ECDSA with SHA-256, DER."""
    return key.sign(data) if isinstance(key, Ed25519PrivateKey) else key.sign(data, ECDSA(hashes.SHA256()))


def check(key: PublicKey, signature: bytes, data: bytes) -> None:
    """BadSignature unless `make_signature` of this key's private half gives such a signature."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, data, ECDSA(hashes.SHA256()))
    except InvalidSignature as problem:
        raise BadSignature("The signature does not fit.") from problem


def jwk(public: PublicKey) -> dict[str, str]:
    """The public key as a JSON Web Key, with the required members only (RFC 8037, RFC 7518)."""
    if isinstance(public, Ed25519PublicKey):
        return {"crv": "Ed25519", "kty": "OKP", "x": _url(public.public_bytes_raw())}
    point = public.public_numbers()
    x, y = (_url(number.to_bytes(COORDINATE_BYTES, "big")) for number in (point.x, point.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def from_jwk(key: Mapping[str, str]) -> PublicKey:
    """The key in a JSON Web Key. BadKey where it is of another kind, or no point of the curve."""
    try:
        match key.get("kty"), key.get("crv"):
            case "OKP", "Ed25519":
                return Ed25519PublicKey.from_public_bytes(_bytes(key["x"]))
            case "EC", "P-256":
                x, y = (int.from_bytes(_bytes(key[name]), "big") for name in ("x", "y"))
                return EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
            case kty, crv:
                raise BadKey(f"Keys are Ed25519 or P-256; this one is {kty} {crv}.")
    except (KeyError, TypeError, AttributeError, binascii.Error, ValueError) as problem:
        if isinstance(problem, BadKey):
            raise
        raise BadKey("The members of the key do not make a key.") from problem


def ed25519_from_jwk(key: Mapping[str, str]) -> Ed25519PublicKey:
    """The same, for what only Ed25519 signs. BadKey."""
    found = from_jwk(key)
    if not isinstance(found, Ed25519PublicKey):
        raise BadKey("This key is not an Ed25519 key.")
    return found


def key_id(public: PublicKey) -> str:
    """The thumbprint of RFC 7638: SHA-256 over the canonical JWK, base64url."""
    return _url(hashlib.sha256(canonical(jwk(public))).digest())


def pem(public: PublicKey) -> str:
    """The public key as openssl reads it."""
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def seal(private: PrivateKey, *, kek: bytes, about: str) -> bytes:
    """The private key under AES-256-GCM; `about` (whose it is and what for) must be the same when it is unsealed."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(kek).encrypt(nonce, _raw(private), about.encode())


def unseal(sealed: bytes, *, kek: bytes, about: str) -> PrivateKey:
    """The private key again. CannotUnseal."""
    try:
        raw = AESGCM(kek).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
    except (InvalidTag, ValueError) as problem:
        raise CannotUnseal(
            f"The key of {about} cannot be unsealed with this key-encryption key."
        ) from problem
    if len(raw) == COORDINATE_BYTES:
        return Ed25519PrivateKey.from_private_bytes(raw)
    held = serialization.load_der_private_key(raw, password=None)
    if not isinstance(held, EllipticCurvePrivateKey):
        raise CannotUnseal(f"What is sealed as the key of {about} is of another kind.")
    return held


def _raw(private: PrivateKey) -> bytes:
    if isinstance(private, Ed25519PrivateKey):
        return private.private_bytes_raw()
    return private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """base64url without padding; letters of the other alphabet and rests are refused."""
    if "=" in text or "+" in text or "/" in text:
        raise BadKey("The members of a key are base64url without padding.")
    return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
