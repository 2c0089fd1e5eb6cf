"""Signatures of A2A agent cards: JWS (ES256) over the RFC 8785 form of the card without its signatures.

Signed with joserfc, read again with other code.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey

from arm.crypto import canonical

from .dsse import read_object
from .keys import BadSignature, PublicKey, check, key_id

HALF = 32


class BadCard(ValueError):
    """The bytes are no signed card, or not one of these keys; the message says where."""


def sign(card: bytes, *, key: EllipticCurvePrivateKey, jku: str) -> bytes:
    """The card (canonical bytes) with its signature in it, as canonical bytes. `jku` is where the key is published."""
    header = {"alg": "ES256", "typ": "JOSE", "kid": key_id(key.public_key()), "jku": jku}
    token = jws.serialize_compact(header, card, ECKey.import_key(key))
    protected, _, signature = token.split(".")
    return canonical(json.loads(card) | {"signatures": [{"protected": protected, "signature": signature}]})


def verify(data: bytes, keys: Mapping[str, PublicKey]) -> dict[str, Any]:
    """The card, without its signatures, that one of `keys` (by key id) has signed. BadCard."""
    try:
        card = read_object(data, "")
        (stated,) = card.pop("signatures")
        header = read_object(_bytes(stated["protected"]), "/signatures/0/protected")
        signature = _bytes(stated["signature"])
        kid, alg = str(header["kid"]), header["alg"]
        payload = canonical(card)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise BadCard("/signatures: It is not one JWS over a card.") from problem
    if alg != "ES256" or kid not in keys:
        raise BadCard("/signatures/0/protected: It is not ES256 of a key that is known here.")
    if len(signature) != 2 * HALF:
        raise BadCard("/signatures/0/signature: It does not have 64 bytes.")
    halves = (int.from_bytes(signature[:HALF], "big"), int.from_bytes(signature[HALF:], "big"))
    signed = f"{stated['protected']}.{_text(payload)}".encode()
    try:
        check(keys[kid], encode_dss_signature(*halves), signed)
    except BadSignature as problem:
        raise BadCard(f"/signatures/0/signature: It is not what key {kid} signs of this card.") from problem
    found: dict[str, Any] = card
    return found


def unsigned(data: bytes) -> bytes:
    """The canonical bytes of a card without its signatures; nothing is verified. BadCard."""
    try:
        card = read_object(data, "")
        card.pop("signatures", None)
        return canonical(card)
    except (ValueError, RecursionError) as problem:
        raise BadCard("It is no card.") from problem


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
