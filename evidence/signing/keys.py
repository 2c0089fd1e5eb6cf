"""Keys: their ids, their public form, and private ones sealed with the key-encryption key of the signer."""

import base64
import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from arm.crypto import canonical

NONCE_BYTES = 12


class CannotUnseal(ValueError):
    """The key-encryption key is another one, or what was sealed has been changed or moved."""


def jwk(public: Ed25519PublicKey) -> dict[str, str]:
    """The public key as a JSON Web Key (RFC 8037)."""
    return {"crv": "Ed25519", "kty": "OKP", "x": _url(public.public_bytes_raw())}


def from_jwk(key: dict[str, str]) -> Ed25519PublicKey:
    text = key["x"]
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def key_id(public: Ed25519PublicKey) -> str:
    """The thumbprint of RFC 7638: SHA-256 over the canonical JWK, base64url."""
    return _url(hashlib.sha256(canonical(jwk(public))).digest())


def seal(private: Ed25519PrivateKey, *, kek: bytes, about: str) -> bytes:
    """The private key under AES-256-GCM; `about` (whose it is and what for) must be the same when it is unsealed."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(kek).encrypt(nonce, private.private_bytes_raw(), about.encode())


def unseal(sealed: bytes, *, kek: bytes, about: str) -> Ed25519PrivateKey:
    """The private key again. CannotUnseal."""
    try:
        raw = AESGCM(kek).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
    except (InvalidTag, ValueError) as problem:
        raise CannotUnseal(
            f"The key of {about} cannot be unsealed with this key-encryption key."
        ) from problem
    return Ed25519PrivateKey.from_private_bytes(raw)


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
