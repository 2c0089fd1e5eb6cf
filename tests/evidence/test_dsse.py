"""An envelope says exactly what its key signed: openssl and securesystemslib agree, and whatever is changed is found."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from evidence.signing import dsse, keys

KEY = keys.generate("Ed25519")
KID = keys.key_id(KEY.public_key())
KNOWN = {KID: KEY.public_key()}
PAYLOAD = dsse.statement(
    subjects={"genome.json": "ab" * 32},
    predicate_type="https://arm.example/evidence/x/v1",
    predicate={"a": 1},
)
SIGNED = dsse.sign(PAYLOAD, key=KEY)


def changed(**members: Any) -> bytes:
    return json.dumps(json.loads(SIGNED) | members).encode()


def restated(**members: Any) -> bytes:
    """Another statement under a signature of the same key."""
    return dsse.sign(json.dumps(json.loads(PAYLOAD) | members).encode(), key=KEY)


def test_the_protocol_of_the_specification_gives_the_bytes_of_its_example() -> None:
    """The example of DSSE v1, protocol.md."""
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@pytest.mark.parametrize("kind", ["Ed25519", "P-256"])
def test_openssl_and_securesystemslib_verify_what_was_signed_and_refuse_a_changed_copy(
    kind: str, tmp_path: Path
) -> None:
    key = keys.generate(kind)
    signed = dsse.sign(PAYLOAD, key=key)
    said = json.loads(signed)
    payload = base64.b64decode(said["payload"])
    (tmp_path / "key.pem").write_text(keys.pem(key.public_key()))
    (tmp_path / "sig").write_bytes(base64.b64decode(said["signatures"][0]["sig"]))

    def openssl(data: bytes) -> int:
        (tmp_path / "pae").write_bytes(b"DSSEv1 28 application/vnd.in-toto+json %d " % len(data) + data)
        raw = ["-rawin"] if kind == "Ed25519" else ["-rawin", "-digest", "sha256"]
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", *raw]
        command += ["-in", "pae", "-sigfile", "sig"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert openssl(payload) == 0
    assert openssl(payload.replace(b"genome", b"Genome")) != 0

    theirs = SSlibKey.from_crypto(key.public_key(), keyid=keys.key_id(key.public_key()))
    Envelope.from_dict(json.loads(signed)).verify([theirs], 1)
    said["payload"] = base64.b64encode(payload.replace(b"genome", b"Genome")).decode()
    with pytest.raises(VerificationError):
        Envelope.from_dict(said).verify([theirs], 1)


@pytest.mark.parametrize("kind", ["Ed25519", "P-256"])
def test_what_securesystemslib_signs_is_read(kind: str) -> None:
    private = keys.generate(kind)
    signer = CryptoSigner(private)
    envelope = Envelope(PAYLOAD, dsse.IN_TOTO, {})
    envelope.sign(signer)
    signed = json.dumps(envelope.to_dict()).encode()
    read = dsse.verify(signed, {signer.public_key.keyid: private.public_key()})
    assert read.kid == signer.public_key.keyid
    assert read.subjects == {"genome.json": "ab" * 32}


def test_a_statement_comes_back_with_who_signed_it() -> None:
    read = dsse.verify(SIGNED, KNOWN)
    assert (read.kid, read.predicate_type, dict(read.predicate)) == (
        KID,
        "https://arm.example/evidence/x/v1",
        {"a": 1},
    )


def test_as_the_specification_asks_other_members_the_other_alphabet_and_no_key_id_are_read() -> None:
    said = json.loads(SIGNED)
    said["signatures"][0].pop("keyid")
    said["note"] = "not ours"
    said["payload"] = said["payload"].replace("+", "-").replace("/", "_")
    assert dsse.verify(json.dumps(said).encode(), KNOWN).kid == KID


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"{", ""),
        (b"[" * 100_000, ""),
        (b'{"payload":1,"payload":2}', ""),
        (changed(payloadType="text/plain"), "/payloadType"),
        (changed(payloadType=1), "/payloadType"),
        (changed(payload="?"), "/payload"),
        (changed(payload=base64.b64encode(PAYLOAD + b" ").decode()), "/signatures/0/sig"),
        (changed(payload="é"), "/payload"),
        (changed(signatures=[{"sig": "é"}]), "/signatures/0/sig"),
        (changed(signatures=[{"sig": "AAAA"}] * 17), "/signatures"),
        (changed(signatures=[]), "/signatures"),
        (changed(signatures={}), "/signatures"),
        (changed(signatures=[1]), "/signatures/0"),
        (changed(signatures=[{"keyid": KID}]), "/signatures/0/sig"),
        (changed(signatures=[{"keyid": KID, "sig": ""}]), "/signatures/0/sig"),
        (changed(signatures=[{"keyid": "else", "sig": "AAAA"}]), "/signatures"),
        (restated(_type="https://in-toto.io/Statement/v0.1"), "/payload/_type"),
        (restated(predicateType=""), "/payload/predicateType"),
        (restated(predicate=[]), "/payload/predicate"),
        (restated(subject=[]), "/payload/subject"),
        (restated(subject=[{"name": "x"}]), "/payload/subject/0"),
        (restated(subject=[{"name": "x", "digest": {"sha256": "AB" * 32}}]), "/payload/subject/0"),
        (restated(subject=[{"name": "x", "digest": {"sha256": "ab" * 32}}] * 2), "/payload/subject/1"),
        (dsse.sign(b"\xff", key=KEY), "/payload"),
        (dsse.sign(b'{"a":NaN}', key=KEY), "/payload"),
    ],
)
def test_what_is_wrong_is_refused_with_the_place(data: bytes, where: str) -> None:
    with pytest.raises(dsse.BadEnvelope) as refused:
        dsse.verify(data, KNOWN)
    assert refused.value.where == where


def test_an_envelope_of_another_key_is_refused_even_under_the_known_keys_id() -> None:
    other = json.loads(dsse.sign(PAYLOAD, key=keys.generate("Ed25519")))
    with pytest.raises(dsse.BadEnvelope):
        dsse.verify(json.dumps(other).encode(), KNOWN)
    other["signatures"][0]["keyid"] = KID
    with pytest.raises(dsse.BadEnvelope, match="is not what key"):
        dsse.verify(json.dumps(other).encode(), KNOWN)


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_changed_byte_changes_what_is_read(at: int, by: int) -> None:
    """A change is refused, or was of something that is not signed: then the statement is the one that was signed."""
    altered = bytearray(SIGNED)
    altered[at] ^= by
    try:
        read = dsse.verify(bytes(altered), KNOWN)
    except dsse.BadEnvelope:
        return
    assert read == dsse.verify(SIGNED, KNOWN)
