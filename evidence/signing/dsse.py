"""Signed statements: an in-toto Statement in an envelope of DSSE v1 (github.com/secure-systems-lab/dsse).

What is signed is `DSSEv1 SP len(type) SP type SP len(payload) SP payload`: exact bytes, so that nothing depends on how
somebody writes JSON. What is wrong is refused with the place where. As the specification asks, unknown members of an
envelope are passed over, both alphabets of base64 are read, and a signature may leave out whose it is.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arm.crypto import canonical, no_number, once

from .keys import BadSignature, PrivateKey, PublicKey, check, key_id, make_signature

IN_TOTO = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
MEDIA_TYPE = "application/vnd.in-toto+dsse"
MAX_BYTES = 16 * 1024 * 1024
MAX_SIGNATURES = 16


class BadEnvelope(ValueError):
    """The bytes are no envelope, or not one that these keys have signed. `where` is a JSON pointer into it."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where or 'envelope'}: {what}")
        self.where, self.what = where, what


@dataclass(frozen=True, slots=True)
class Signature:
    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope as it was read; nothing in it has been verified yet."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a key has signed: `subjects` are names with their SHA-256 (hex), `predicate` is what is said of them."""

    subjects: Mapping[str, str]
    predicate_type: str
    predicate: Mapping[str, Any]
    kid: str


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def statement(*, subjects: Mapping[str, str], predicate_type: str, predicate: Mapping[str, Any]) -> bytes:
    """The canonical bytes of an in-toto Statement about `subjects` (name: SHA-256 in hex)."""
    return canonical(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": hexed}} for name, hexed in subjects.items()],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def sign(payload: bytes, *, key: PrivateKey) -> bytes:
    """The envelope of a statement, signed by this key, as the bytes of its file."""
    signed = make_signature(key, pae(IN_TOTO, payload))
    envelope = canonical(
        {
            "payloadType": IN_TOTO,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [
                {"keyid": key_id(key.public_key()), "sig": base64.b64encode(signed).decode()},
            ],
        }
    )
    if len(envelope) > MAX_BYTES:
        raise ValueError(f"The statement is too large to be read again: {len(envelope)} bytes.")
    return envelope


def read(data: bytes) -> Envelope:
    """The envelope in these bytes, not verified. BadEnvelope."""
    if len(data) > MAX_BYTES:
        raise BadEnvelope("", f"It is larger than {MAX_BYTES} bytes.")
    said = read_object(data, "")
    _members(said, "", {"payloadType", "payload", "signatures"})
    signatures = said["signatures"]
    if not isinstance(signatures, list) or not signatures:
        raise BadEnvelope("/signatures", "It is not a list with a signature.")
    if len(signatures) > MAX_SIGNATURES:
        raise BadEnvelope("/signatures", f"There are more than {MAX_SIGNATURES}.")
    found = []
    for number, one in enumerate(signatures):
        where = f"/signatures/{number}"
        if not isinstance(one, dict):
            raise BadEnvelope(where, "It is not an object.")
        _members(one, where, {"sig"})
        keyid = _text(one.get("keyid", ""), f"{where}/keyid")
        found.append(Signature(keyid, _base64(one["sig"], f"{where}/sig")))
    kind = _text(said["payloadType"], "/payloadType")
    return Envelope(kind, _base64(said["payload"], "/payload"), tuple(found))


def verify(data: bytes, keys: Mapping[str, PublicKey]) -> Statement:
    """The statement in an envelope that one of `keys` (by key id) has signed. BadEnvelope says what does not fit.

    Every signature of a known key must fit; one of an unknown key counts for nothing.
    """
    envelope = read(data)
    if envelope.payload_type != IN_TOTO:
        raise BadEnvelope("/payloadType", f"It is not {IN_TOTO}.")
    signed, by = pae(envelope.payload_type, envelope.payload), ""
    for number, one in enumerate(envelope.signatures):
        fitting = _fitting(one, keys, signed)
        if not fitting and one.keyid in keys:
            where = f"/signatures/{number}/sig"
            raise BadEnvelope(where, f"It is not what key {one.keyid} signs of this payload.")
        by = by or fitting
    if not by:
        raise BadEnvelope("/signatures", "None of them is of a key that is known here.")
    return read_statement(envelope.payload, kid=by)


def _fitting(signature: Signature, keys: Mapping[str, PublicKey], signed: bytes) -> str:
    """The id of the key that made this signature, empty when none did. Without a hint every key is tried."""
    for kid, key in keys.items():
        if signature.keyid in ("", kid):
            try:
                check(key, signature.sig, signed)
            except BadSignature:
                continue
            return kid
    return ""


def read_statement(payload: bytes, *, kid: str = "") -> Statement:
    """The statement in a payload; `kid` is who signed it. BadEnvelope."""
    said = read_object(payload, "/payload")
    where = "/payload"
    if said.get("_type") != STATEMENT:
        raise BadEnvelope(f"{where}/_type", f"It is not {STATEMENT}.")
    kind, predicate, listed = said.get("predicateType"), said.get("predicate", {}), said.get("subject")
    if not isinstance(kind, str) or not kind:
        raise BadEnvelope(f"{where}/predicateType", "It is missing.")
    if not isinstance(predicate, dict):
        raise BadEnvelope(f"{where}/predicate", "It is not an object.")
    if not isinstance(listed, list) or not listed:
        raise BadEnvelope(f"{where}/subject", "It names nothing.")
    subjects: dict[str, str] = {}
    for number, one in enumerate(listed):
        name = one.get("name") if isinstance(one, dict) else None
        digests = one.get("digest") if isinstance(one, dict) else None
        hexed = digests.get("sha256") if isinstance(digests, dict) else None
        if not isinstance(name, str) or not isinstance(hexed, str) or not _is_sha256(hexed):
            raise BadEnvelope(f"{where}/subject/{number}", "It lacks a name or a SHA-256 digest.")
        if name in subjects:
            raise BadEnvelope(f"{where}/subject/{number}", f"“{name}” is named twice.")
        subjects[name] = hexed
    return Statement(subjects, kind, predicate, kid)


def read_object(data: bytes, where: str) -> dict[str, Any]:
    """A JSON object in UTF-8 whose members stand in it once. BadEnvelope with `where`."""
    try:
        said = json.loads(data.decode(), object_pairs_hook=once, parse_constant=no_number)
    except (ValueError, RecursionError) as problem:
        raise BadEnvelope(where, f"It is not JSON: {problem}"[:300]) from problem
    if not isinstance(said, dict):
        raise BadEnvelope(where, "It is not an object.")
    return said


def _members(said: Mapping[str, Any], where: str, wanted: set[str]) -> None:
    for name in sorted(wanted - said.keys()):
        raise BadEnvelope(f"{where}/{name}", "It is missing.")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise BadEnvelope(where, "It is not a text.")
    return value


def _base64(value: Any, where: str) -> bytes:
    try:
        text = _text(value, where).replace("-", "+").replace("_", "/")
        return base64.b64decode(text, validate=True)
    except BadEnvelope:
        raise
    except ValueError as problem:  # also binascii.Error
        raise BadEnvelope(where, "It is not base64.") from problem


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)
