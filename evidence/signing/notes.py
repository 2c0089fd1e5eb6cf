"""Signed notes of C2SP: a checkpoint of a log, and a proof that stands alone beside it.

A note is text that ends in a newline, an empty line, and a line `— <name> <base64>` for each signature. The first four
bytes of a signature's base64 say the key: SHA-256 over name, newline, algorithm byte and public key. Ed25519 is 0x01.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
DASH = "—"
PROOF = "c2sp.org/tlog-proof@v1"


class BadNote(ValueError):
    """The text is no note, or not one of this key; the message says where."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself at one size."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Proof:
    """That a leaf stands at `index` under the checkpoint that comes with it."""

    index: int
    path: Sequence[bytes]
    checkpoint: str

    @property
    def text(self) -> str:
        hashes = "".join(base64.b64encode(one).decode() + "\n" for one in self.path)
        return f"{PROOF}\nindex {self.index}\n{hashes}\n{self.checkpoint}"


def key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def verifier_key(name: str, public: bytes) -> str:
    """The key as verifiers of notes take it: `name+hex(id)+base64(algorithm, key)`."""
    return f"{name}+{key_id(name, public).hex()}+{base64.b64encode(ED25519 + public).decode()}"


def sign(checkpoint: Checkpoint, *, key: Ed25519PrivateKey) -> str:
    """The signed note of this checkpoint. Its signer is called like its log."""
    name, public = checkpoint.origin, key.public_key().public_bytes_raw()
    if not name or any(letter.isspace() or letter == "+" for letter in name):
        raise ValueError(f"“{name}” cannot be the name of a key.")
    said = base64.b64encode(key_id(name, public) + key.sign(checkpoint.text.encode())).decode()
    return f"{checkpoint.text}\n{DASH} {name} {said}\n"


def open_checkpoint(note: str, *, public: bytes) -> Checkpoint:
    """The checkpoint in a note that this key has signed. BadNote otherwise."""
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.endswith("\n"):
        raise BadNote("A note is text, an empty line and signatures, each on a line of its own.")
    text += "\n"
    checkpoint = _checkpoint(text)
    wanted = key_id(checkpoint.origin, public)
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, said = rest.partition(" ")
        data = _base64(said)
        if dash != DASH or len(data) <= len(wanted):
            raise BadNote(f"“{line[:80]}” is not a line with a signature.")
        if name == checkpoint.origin and data[:4] == wanted:
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(data[4:], text.encode())
            except InvalidSignature as problem:
                raise BadNote("The signature does not fit the checkpoint.") from problem
            return checkpoint
    raise BadNote("No signature of the expected key is on the checkpoint.")


def read_proof(text: str) -> Proof:
    """A proof as `Proof.text` writes it. The checkpoint in it is not opened yet."""
    head, gap, checkpoint = text.partition("\n\n")
    first, *lines = head.split("\n")
    if first != PROOF or not gap or not lines or not lines[0].startswith("index "):
        raise BadNote(f"A proof begins with the lines “{PROOF}” and “index …”.")
    number = lines[0].removeprefix("index ")
    if not _decimal(number):
        raise BadNote(f"“{number[:30]}” is not the index of a leaf.")
    path = [_base64(line) for line in lines[1:]]
    if any(len(one) != hashlib.sha256().digest_size for one in path):
        raise BadNote("A hash of the proof does not have 32 bytes.")
    return Proof(int(number), path, checkpoint)


def _checkpoint(text: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) < 4 or not lines[0] or not _decimal(lines[1]):
        raise BadNote("A checkpoint has three lines: origin, size and root.")
    root = _base64(lines[2])
    if len(root) != hashlib.sha256().digest_size:
        raise BadNote("The root of the checkpoint does not have 32 bytes.")
    return Checkpoint(lines[0], int(lines[1]), root)


def _decimal(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0") and len(text) < 20


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise BadNote(f"“{text[:80]}” is not base64.") from problem
