"""What a verifier does with a file of evidence: every check by name, with what it found.

Envelopes are verified twice, by this house's code and by securesystemslib: a mistake in ours must not pass by itself.
"""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from arm.crypto import digest

from . import agent_cards, dsse, merkle, notes, signed_pdfs
from .certificates import der
from .keys import BadKey, PublicKey, from_jwk, key_id

EVIDENCE, PDF, LOG, A2A = "evidence", "pdf", "log", "a2a"
"""Purposes of keys."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: `detail` says what was found, or where it does not fit."""

    name: str
    ok: bool
    detail: str


class BadKeyring(ValueError):
    """The file is no list of keys as `/.well-known/arm-keys.json` gives it."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The public keys that are believed, by purpose and key id."""

    keys: Mapping[str, Mapping[str, PublicKey]]
    certificates: Mapping[str, bytes] = field(default_factory=dict)
    """DER, by key id: of keys that sign PDFs."""

    def of(self, purpose: str) -> Mapping[str, PublicKey]:
        return self.keys.get(purpose, {})


def keyring(document: bytes) -> Keyring:
    """The keys of an `arm-keys.json`. One that is marked compromised is not believed. BadKeyring.

    The key id is computed from the key, not taken from the file.
    """
    try:
        listed = json.loads(document)["keys"]
        found: dict[str, dict[str, PublicKey]] = {}
        certificates = {}
        for entry in listed:
            if entry.get("status") != "compromised":
                public = from_jwk(entry["jwk"])
                kid = key_id(public)
                found.setdefault(str(entry["purpose"]), {})[kid] = public
                if entry.get("certificate"):
                    certificates[kid] = der(str(entry["certificate"]))
    except (ValueError, KeyError, TypeError, AttributeError, BadKey) as problem:
        raise BadKeyring("This is no list of keys, as /.well-known/arm-keys.json gives it.") from problem
    return Keyring(found, certificates)


def examine(data: bytes, ring: Keyring) -> list[Check]:
    """Every check of an envelope, a signed PDF or an A2A agent card. Nothing that fails stops the others."""
    if data.startswith(b"%PDF-"):
        return list(guarded("PDF", examine_pdf(data, ring)))
    if _is_a2a_card(data):
        return list(guarded("agent card", examine_a2a_card(data, ring)))
    return list(guarded("envelope", examine_envelope(data, ring)))


def guarded(name: str, checks: Iterable[Check]) -> Iterator[Check]:
    """The checks; whatever else goes wrong in them is a failed check by this name. A stranger's file may hold what
    nobody has thought of, in this house or in the libraries that it uses, and that must not pass for an answer."""
    try:
        yield from checks
    except Exception as problem:  # noqa: BLE001 - see above
        yield Check(name, False, f"It cannot be read ({type(problem).__name__}).")


def examine_envelope(data: bytes, ring: Keyring) -> Iterator[Check]:
    keys = ring.of(EVIDENCE)
    try:
        said = dsse.verify(data, keys)
    except dsse.BadEnvelope as problem:
        yield Check("envelope", False, str(problem))
        return
    yield Check("envelope", True, f"Signed by key {said.kid}.")
    yield second_opinion(data, keys[said.kid], said.kid)
    yield Check("statement", True, f"{said.predicate_type}, about {', '.join(said.subjects)}.")
    # Not a flaw of the file: it is as good as its signature, and says itself what it lacks.
    missing = _missing(said.predicate)
    complete = (
        f"It says that it lacks: {', '.join(missing)}." if missing else "It says that it lacks nothing."
    )
    yield Check("completeness", True, complete)


def examine_a2a_card(data: bytes, ring: Keyring) -> Iterator[Check]:
    try:
        card = agent_cards.verify(data, ring.of(A2A))
    except agent_cards.BadCard as problem:
        yield Check("agent card", False, str(problem))
        return
    yield Check(
        "agent card", True, f"{card.get('name')} {card.get('version')}, signed by a key of the tenant."
    )


def _is_a2a_card(data: bytes) -> bool:
    """By its members: an envelope has a payload, a card has skills."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and "skills" in said and "payload" not in said


def second_opinion(data: bytes, key: PublicKey, kid: str) -> Check:
    """What securesystemslib says of the envelope."""
    try:
        theirs = SSlibKey.from_crypto(key, keyid=kid)
        envelope = Envelope.from_dict(copy.deepcopy(json.loads(data)))  # from_dict changes its argument
        envelope.verify([theirs], 1)
    except Exception as problem:  # noqa: BLE001 - whatever their code makes of a stranger's bytes
        return Check("second library", False, f"securesystemslib refuses it: {problem}"[:300])
    return Check("second library", True, "securesystemslib agrees.")


def examine_pdf(data: bytes, ring: Keyring) -> Iterator[Check]:
    opened, refusal = None, "No key for PDFs is known here."
    for kid, key in ring.of(PDF).items():
        try:
            opened = signed_pdfs.verify(data, key=key, certificate=ring.certificates.get(kid, b""))
        except signed_pdfs.BadPdf as problem:
            refusal = str(problem)
    if opened is None:
        yield Check("PDF", False, refusal)
        return
    yield Check("PDF", True, "Its signature covers the whole file.")
    envelopes = {name: held for name, held in opened.attachments.items() if name.endswith(".dsse.json")}
    if len(envelopes) != 1:
        yield Check(
            "embedded statement", False, f"It carries {len(envelopes)} signed statements; one is expected."
        )
        return
    ((name, held),) = envelopes.items()
    yield Check("embedded statement", True, f"{name}, {digest(held)}.")
    yield from examine_envelope(held, ring)


def examine_proof(proof: str, *, leaf: str, payload: bytes, ring: Keyring) -> Iterator[Check]:
    """That `payload` is what the leaf is about, and that the leaf is in the log under a signed checkpoint."""
    hexed = digest(payload).removeprefix("sha256:")
    try:
        about: Any = json.loads(leaf)
        same = about["payload_sha256"] == hexed
    except (ValueError, KeyError, TypeError, RecursionError):
        yield Check("leaf", False, "It is not the text of a leaf.")
        return
    yield Check(
        "leaf",
        same,
        "It names this file." if same else "It names another file, or another state of this one.",
    )
    try:
        stated = notes.read_proof(proof)
        checkpoint = _opened(stated.checkpoint, ring)
    except notes.BadNote as problem:
        yield Check("checkpoint", False, str(problem))
        return
    yield Check("checkpoint", True, f"{checkpoint.origin}, {checkpoint.size} leaves, signed.")
    fits = merkle.includes(
        root=checkpoint.root, size=checkpoint.size, index=stated.index, leaf=merkle.leaf_hash(leaf.encode()),
        path=stated.path,
    )  # fmt: skip
    said = (
        f"Leaf {stated.index} is in the log."
        if fits
        else f"Leaf {stated.index} is not under this checkpoint."
    )
    yield Check("inclusion", fits, said)


def _opened(note: str, ring: Keyring) -> notes.Checkpoint:
    refusal = notes.BadNote("No key for checkpoints is known here.")
    for key in ring.of(LOG).values():
        if isinstance(key, Ed25519PublicKey):
            try:
                return notes.open_checkpoint(note, public=key.public_bytes_raw())
            except notes.BadNote as problem:
                refusal = problem
    raise refusal


def _missing(predicate: Mapping[str, Any]) -> list[str]:
    stated = predicate.get("completeness")
    missing = stated.get("missing") if isinstance(stated, dict) else None
    return [str(one) for one in missing] if isinstance(missing, list) else []
