"""A checkpoint and a proof are text that strangers' tools read; one letter changed and they are worth nothing."""

import base64
import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.signing import notes

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
CHECKPOINT = notes.Checkpoint("arm.example/log/acme", 42, hashlib.sha256(b"root").digest())
NOTE = notes.sign(CHECKPOINT, key=KEY)


def test_a_signed_checkpoint_is_opened_with_its_key() -> None:
    assert notes.open_checkpoint(NOTE, public=PUBLIC) == CHECKPOINT


def test_a_checkpoint_is_three_lines_an_empty_one_and_a_signature_that_names_its_key() -> None:
    origin, size, root, gap, signature, end = NOTE.split("\n")
    assert (origin, size, gap, end) == ("arm.example/log/acme", "42", "", "")
    assert base64.b64decode(root) == CHECKPOINT.root
    dash, name, said = signature.split(" ")
    assert (dash, name) == ("—", origin)
    assert base64.b64decode(said)[:4] == hashlib.sha256(f"{name}\n".encode() + b"\x01" + PUBLIC).digest()[:4]


def test_openssl_verifies_the_signature(tmp_path: Path) -> None:
    text, _, signature = NOTE.partition("\n\n")
    (tmp_path / "text").write_text(text + "\n")
    (tmp_path / "sig").write_bytes(base64.b64decode(signature.split(" ")[2])[4:])
    (tmp_path / "key.pem").write_bytes(
        KEY.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "text"]
    done = subprocess.run(
        [*command, "-sigfile", "sig"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Verified Successfully" in done.stdout
    (tmp_path / "text").write_text(text.replace("42", "43") + "\n")
    done = subprocess.run(
        [*command, "-sigfile", "sig"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0


def test_the_commands_of_the_documentation_verify_a_checkpoint_and_refuse_a_changed_one(
    tmp_path: Path,
) -> None:
    page = (Path(__file__).parents[2] / "docs/evidence.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    (commands,) = (block for block in blocks if "checkpoint.txt" in block)
    (tmp_path / "key.pem").write_bytes(
        KEY.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    for note, works in ((NOTE, True), (NOTE.replace("\n42\n", "\n43\n"), False)):
        (tmp_path / "checkpoint.txt").write_text(note)
        done = subprocess.run(
            ["sh", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) is works, done.stderr


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (NOTE.replace("\n42\n", "\n43\n"), "does not fit"),
        (NOTE.replace("acme", "acne"), "No signature of the expected key"),
        (NOTE.replace("\n42\n", "\n042\n"), "origin, size and root"),
        (NOTE.rstrip("\n"), "an empty line and signatures"),
        (NOTE.replace("\n\n", "\n"), "an empty line and signatures"),
        (NOTE.replace("—", "-"), "not a line with a signature"),
        (NOTE.replace(base64.b64encode(CHECKPOINT.root).decode(), "AAAA"), "32 bytes"),
        ("", "an empty line and signatures"),
    ],
)
def test_a_changed_note_says_what_is_wrong(note: str, why: str) -> None:
    with pytest.raises(notes.BadNote, match=why):
        notes.open_checkpoint(note, public=PUBLIC)


def test_another_key_does_not_open_it() -> None:
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(notes.BadNote, match="No signature of the expected key"):
        notes.open_checkpoint(NOTE, public=other)


def test_a_log_with_a_space_in_its_name_cannot_sign() -> None:
    with pytest.raises(ValueError, match="cannot be the name of a key"):
        notes.sign(notes.Checkpoint("two words", 1, bytes(32)), key=KEY)


def test_a_proof_reads_back_as_it_was_written() -> None:
    proof = notes.Proof(7, [bytes([n]) * 32 for n in range(3)], NOTE)
    assert notes.read_proof(proof.text) == proof
    assert notes.read_proof(notes.Proof(0, [], NOTE).text).checkpoint == NOTE


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("index 7", "index 07"), "not the index"),
        (("@v1", "@v2"), "begins with"),
        (("AQEB", "AQ*B"), "not base64"),
    ],
)
def test_a_broken_proof_says_what_is_wrong(change: tuple[str, str], why: str) -> None:
    text = notes.Proof(7, [b"\x01" * 32], NOTE).text
    with pytest.raises(notes.BadNote, match=why):
        notes.read_proof(text.replace(*change))


def test_the_verifier_key_is_name_id_and_key() -> None:
    name, id_, key = notes.verifier_key("arm.example/log/acme", PUBLIC).split("+", 2)
    assert (name, bytes.fromhex(id_)) == ("arm.example/log/acme", notes.key_id(name, PUBLIC))
    assert base64.b64decode(key) == b"\x01" + PUBLIC
